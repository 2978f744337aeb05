"""Turn a checked project into a release: link, order, hash.

>>> from sequence_defs.schema import Tenant
>>> release = lower(Project((Tenant(name="shop", tenant="shop", description="sells"),)))
>>> release.tenants["shop"].description, release.hashes["tenants/shop"].schema_
('sells', '4f53cda18c2baa0c')
"""

from typing import Any

from sequence_defs.compiler.arms import arms_of
from sequence_defs.compiler.project import Project, event_columns, labelled_by
from sequence_defs.compiler.release import Hashes, Release, digest
from sequence_defs.compiler.views import COLLAPSED, value_columns
from sequence_defs.schema import (
    Column,
    Definition,
    Derived,
    EventType,
    ObjectView,
    Sequence,
    Service,
    SessionView,
    Snapshot,
    Source,
    TrainingSet,
    Versioned,
)

# Fields that describe, place or operate an object without changing a value it produces.
META = {
    "owner",
    "description",
    "lifecycle",
    "tags",
    "retention_days",
    "shared_with",
    "tenant",
    "legacy",
    "deprecated",
    "experiment",
    "answers_recorded",
    "batch_size",
    "deadline_ms",
    "cache_ttl_s",
    "max_rejected_share",
    "ready_at",
    "fresh_within_h",
    "serving_delay_s",
    "secret_env",
    "secret_header",
}


def lower(project: Project) -> Release:
    """Compile. Expects a project without error findings; unused executors are left out."""
    arms = {arm.name: arm for arm in arms_of(project.event_types, project.sources, project.enrichments)}
    event_types = {**project.event_types, **arms}
    used = sorted({event_type.executor for event_type in event_types.values()})
    release = Release(
        tenants=dict(sorted(project.tenants.items())),
        sources=dict(sorted(project.sources.items())),
        event_types=dict(sorted(event_types.items())),
        enrichments=dict(sorted(project.enrichments.items())),
        sequences=dict(sorted(project.sequences.items())),
        sessions=dict(sorted(project.sessions.items())),
        objects=dict(sorted(project.objects.items())),
        training=dict(sorted(project.training.items())),
        executors={name: project.executors[name] for name in used},
    )
    return release.model_copy(update={"hashes": _hashes(project, release)})


def _hashes(project: Project, release: Release) -> dict[str, Hashes]:
    hashes: dict[str, Hashes] = {}
    # In dependency order, so that an object's semantic hash can contain those it is made from.
    for kind in ("tenants", "sources", "enrichments", "event_types", "sequences", "sessions", "objects", "training"):
        for name, definition in getattr(release, kind).items():
            # Without defaults, so that a field that is added to a model one day moves no hash.
            values, text = _split(definition.model_dump(mode="json", exclude_defaults=True))
            hashes[f"{kind}/{name}"] = Hashes(
                schema_=digest(_schema(definition, release)),
                semantic=digest(
                    {
                        "type": type(definition).__name__,
                        "body": values,
                        "inputs": {key: hashes[key].semantic for key in _inputs(definition) if key in hashes},
                        "executor": project.executors.get(definition.executor, "")
                        if isinstance(definition, EventType)
                        else "",
                    }
                ),
                meta=digest(text),
            )
    return dict(sorted(hashes.items()))


def _split(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What makes values, and what only describes them: a column's description is text like the definition's own."""
    values = {key: value for key, value in body.items() if key not in META}
    text = {key: value for key, value in body.items() if key in META}
    if "columns" in body and isinstance(body["columns"], list):
        values["columns"] = [_without_description(column) for column in body["columns"]]
        columns = [column for column in body["columns"] if isinstance(column, dict)]
        text["columns"] = {column["name"]: column["description"] for column in columns if column.get("description")}
        if shared := {column["name"]: column["shared_with"] for column in columns if "shared_with" in column}:
            text["columns_shared"] = shared
    return values, text


def _without_description(column: Any) -> Any:
    if not isinstance(column, dict):
        return column  # a sequence names a column by a plain string
    return {key: value for key, value in column.items() if key not in ("description", "shared_with")}


def _inputs(definition: Definition) -> list[str]:
    if isinstance(definition, Versioned | Snapshot):
        return [f"sources/{definition.source}"]
    if isinstance(definition, EventType):
        uses = [f"enrichments/{use.enrichment}" for use in definition.enrichments]
        return [f"sources/{definition.source}", *uses]
    if isinstance(definition, Sequence | SessionView | ObjectView):
        return [f"event_types/{name}" for name in definition.event_types]
    if isinstance(definition, TrainingSet):
        return [f"sequences/{definition.sequence}", *("/".join(each) for each in labelled_by(definition))]
    return []


def _schema(definition: Definition, release: Release) -> Any:
    if isinstance(definition, EventType):
        return [_shape(column) for column in event_columns(definition, release.enrichments).values()]
    if isinstance(definition, Sequence):
        columns = release.sequence_columns(definition.name)
        made = {out: _shape(column) for out, column in COLLAPSED.items()} if definition.collapse else {}
        shown = {out: {name: _shape(column) for name, column in by_type.items()} for out, by_type in columns.items()}
        return {**shown, **made}
    if isinstance(definition, SessionView | ObjectView):
        return [_shape(column) for column in value_columns(definition, release)]
    if isinstance(definition, Source | Versioned | Snapshot | Derived | Service):
        return [_shape(column) for column in definition.columns]
    return []


def _shape(column: Column) -> list[Any]:
    return [column.name, column.dtype, column.unit, column.model, column.nullable]
