"""The portable release: canonical JSON of all definitions, named by its content hash. Never holds Python."""

import hashlib
import json
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from sequence_defs.compiler.project import event_columns
from sequence_defs.schema import (
    Column,
    Enrichment,
    EventType,
    ObjectView,
    Sequence,
    SessionView,
    Source,
    Tenant,
    TrainingSet,
)
from sequence_defs.schema.base import Part

FORMAT_VERSION: Final = 1


class Hashes(Part):
    """What moved, by consequence: ``schema`` needs readers' attention, ``semantic`` a backfill, ``meta`` nothing."""

    schema_: str = Field(alias="schema")
    semantic: str
    meta: str

    model_config = ConfigDict(populate_by_name=True)


class Release(Part):
    """One immutable compiled set of definitions. Objects of a kind are keyed, and serialized, by name."""

    format_version: Literal[1] = FORMAT_VERSION
    tenants: dict[str, Tenant] = Field(default_factory=dict)
    sources: dict[str, Source] = Field(default_factory=dict)
    event_types: dict[str, EventType] = Field(default_factory=dict)
    enrichments: dict[str, Enrichment] = Field(default_factory=dict)
    sequences: dict[str, Sequence] = Field(default_factory=dict)
    sessions: dict[str, SessionView] = Field(default_factory=dict)
    objects: dict[str, ObjectView] = Field(default_factory=dict)
    training: dict[str, TrainingSet] = Field(default_factory=dict)
    executors: dict[str, str] = Field(default_factory=dict, description="code digest by executor name")
    hashes: dict[str, Hashes] = Field(default_factory=dict, description="by <kind>/<name>")

    def event_columns(self, event_type: str) -> dict[str, Column]:
        """All user-visible columns of an event type, in table order."""
        return event_columns(self.event_types[event_type], self.enrichments)

    def sequence_columns(self, sequence: str) -> dict[str, dict[str, Column]]:
        """Output column -> event type -> the event's column it is taken from (types that lack it are absent)."""
        definition = self.sequences[sequence]
        available = {name: self.event_columns(name) for name in definition.event_types}
        columns: dict[str, dict[str, Column]] = {}
        for pick in definition.columns:
            wanted = dict.fromkeys(available, pick) if isinstance(pick, str) else pick.columns
            out = pick if isinstance(pick, str) else pick.name
            columns[out] = {
                name: available[name][source] for name, source in wanted.items() if source in available.get(name, {})
            }
        return columns


def canonical(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8, no NaN: equal values give equal bytes on every machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def dump(release: Release) -> bytes:
    """The release's bytes, checked to load back to the same bytes before anyone stores them."""
    data = canonical(release.model_dump(mode="json", by_alias=True))
    if canonical(load(data).model_dump(mode="json", by_alias=True)) != data:
        raise ValueError("the release does not survive a round trip through JSON; this is a bug in its models")
    return data


def load(data: bytes) -> Release:
    """Read a release.

    Raises:
        ValueError: not JSON, another format version, or not of the published schema.
    """
    found = json.loads(data)
    version = found.get("format_version") if isinstance(found, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"release format {version!r} is not readable here (this build reads {FORMAT_VERSION})")
    return Release.model_validate(found)


def release_id(data: bytes) -> str:
    """The name of a release: SHA-256 of its bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON Schema of the release document."""
    return Release.model_json_schema(by_alias=True)


def digest(value: Any) -> str:
    """Short content digest used inside ``hashes``."""
    return hashlib.sha256(canonical(value)).hexdigest()[:16]
