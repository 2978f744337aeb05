"""Every field of every definition as a page: ``python -m sequence_defs.analysis.reference > docs/definitions.md``."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from sequence_defs.analysis import runner  # noqa: F401  (importing it registers all rules)
from sequence_defs.analysis.diagnostics import RULES
from sequence_defs.authoring.examples import example, type_of
from sequence_defs.compiler.lower import META
from sequence_defs.evolution.change import Ruling
from sequence_defs.evolution.classes import CLASSES, ITEMS, WHOLE
from sequence_defs.schema.base import Definition, Part

# Rule -> the fields it judges, or reads to judge another one. Of all kinds of definitions that have such a field, `*`.
TOUCHES: Mapping[str, str] = {
    "SP101": "*.name",
    "SP102": "*.tenant",
    "SP103": "EventType.source Versioned.source Snapshot.source",
    "SP104": "EventType.executor",
    "SP105": "Enrich.enrichment",
    "SP106": "Sequence.event_types SessionView.event_types ObjectView.event_types Pick.columns",
    "SP107": "*.lifecycle Enrich.enrichment Sequence.event_types SessionView.event_types ObjectView.event_types "
    "EventType.source",
    "SP108": "*.shared_with Column.shared_with Column.pii Moments.events Moments.where Followed.events Followed.column "
    "Followed.where",
    "SP109": "*.shared_with Column.shared_with",
    "SP110": "Source.location Source.shared_with Join.location Blobs.location TrainingSet.labels",
    "SP121": "Source.user_id Source.rev Source.op Source.order Join.on Join.columns",
    "SP122": "Versioned.key Snapshot.key Versioned.missing Snapshot.missing",
    "SP123": "EventType.columns Column.name",
    "SP124": "Enrich.on Versioned.key Snapshot.key Service.key",
    "SP125": "Enrich.columns",
    "SP126": "Sequence.columns Sequence.deprecated Pick.columns",
    "SP127": "Column.name Enrich.columns Pick.name",
    "SP128": "EventType.columns Source.columns Sequence.columns Sequence.event_types Sequence.deprecated "
    "SessionView.event_types ObjectView.event_types Versioned.key Snapshot.key",
    "SP130": "Column.field",
    "SP131": "Column.field",
    "SP132": "Source.csv Csv.delimiter Csv.quote",
    "SP133": "Versioned.key Snapshot.key",
    "SP134": "Source.location Source.format",
    "SP201": "*.filter Column.sql Time.sql Explained.where SessionView.boundary Aggregate.where "
    "Moments.where Followed.where",
    "SP202": "*.filter Column.sql Time.sql Explained.where SessionView.boundary Aggregate.where "
    "Moments.where Followed.where",
    "SP203": "*.filter Column.sql Time.sql Explained.where SessionView.boundary Aggregate.where "
    "Moments.where Followed.where",
    "SP204": "*.filter Column.sql Time.sql Explained.where SessionView.boundary Aggregate.where "
    "Moments.where Followed.where",
    "SP205": "*.filter Explained.where SessionView.boundary Aggregate.where Moments.where Followed.where",
    "SP206": "Column.dtype Column.sql",
    "SP207": "*.filter Column.sql Time.sql",
    "SP208": "Column.sql",
    "SP209": "Column.sql",
    "SP210": "Column.dtype Column.sql",
    "SP221": "Column.dtype",
    "SP222": "Enrich.on Column.dtype",
    "SP223": "Source.user_id Column.dtype",
    "SP224": "Pick.columns Sequence.columns Column.dtype Column.unit",
    "SP225": "Column.model",
    "SP226": "Column.model Pick.columns",
    "SP227": "Source.rev Source.op Column.dtype",
    "SP228": "Versioned.missing Snapshot.missing",
    "SP231": "Column.default Column.nullable EventType.id_field EventType.natural_key",
    "SP229": "Column.unit",
    "SP230": "Source.order",
    "SP241": "Time.sql",
    "SP242": "Time.timezone Time.timezone_column",
    "SP243": "Time.epoch_unit Column.dtype",
    "SP244": "Time.timezone Time.timezone_column",
    "SP245": "Time.sql Column.sql *.filter",
    "SP251": "EventType.start Source.start",
    "SP252": "EventType.start EventType.end Source.end",
    "SP253": "EventType.start Source.start",
    "SP254": "Source.no_file_on Source.location",
    "SP301": "Source.event_time Source.user_id",
    "SP302": "EventType.id_field EventType.natural_key",
    "SP303": "EventType.id_field EventType.natural_key",
    "SP304": "EventType.id_field EventType.natural_key Source.user_id Column.dtype",
    "SP305": "EventType.id_field EventType.natural_key Column.nullable",
    "SP306": "EventType.id_field EventType.natural_key Column.sql",
    "SP311": "Source.location Source.topic",
    "SP312": "Source.topic",
    "SP313": "Source.topic Source.event_time Source.user_id",
    "SP314": "Source.topic",
    "SP315": "Source.message_format Source.topic",
    "SP401": "Sequence.length",
    "SP402": "Sequence.length",
    "SP403": "Sequence.length Column.dtype",
    "SP404": "Versioned.max_age_days Versioned.valid_to",
    "SP501": "*.owner",
    "SP502": "*.description",
    "SP503": "EventType.retention_days Source.retention_days",
    "SP504": "EventType.retention_days Source.retention_days Versioned.retention_days Snapshot.retention_days",
    "SP505": "Sequence.window_days EventType.retention_days",
    "SP506": "Sequence.pii Column.pii",
    "SP507": "Column.pii",
    "SP508": "*.lifecycle",
    "SP601": "Service.url Http.url",
    "SP602": "Service.url Http.url",
    "SP603": "Service.url Service.secret_env Http.url Http.secret_env",
    "SP604": "Service.deadline_ms Http.deadline_ms",
    "SP701": "SessionView.scope ObjectView.key ObjectView.action Aggregate.column",
    "SP702": "SessionView.event_types ObjectView.event_types Column.dtype Column.unit Column.model",
    "SP703": "Aggregate.kind Aggregate.column Aggregate.event_types",
    "SP704": "SessionView.scope ObjectView.key ObjectView.action",
    "SP705": "Aggregate.name",
    "SP706": "SessionView.cap_s SessionView.gap_s",
    "SP707": "ObjectView.action ObjectView.actions",
    "SP711": "Collapse.by Collapse.action Sequence.columns",
    "SP712": "Collapse.by Collapse.action Column.dtype",
    "SP713": "Sequence.collapse Sequence.columns",
    "SP714": "Collapse.actions Collapse.action Sequence.event_types",
    "SP715": "Collapse.within_s Sequence.window_days",
    "SP716": "Sequence.collapse Sequence.legacy Sequence.answers_recorded",
    "SP721": "TrainingSet.sequence Moments.events Followed.events",
    "SP722": "TrainingSet.columns TrainingSet.prefix Followed.name Followed.column",
    "SP723": "TrainingSet.labels TrainingSet.moments TrainingSet.outcomes TrainingSet.negatives TrainingSet.end "
    "FewNegatives.outcome",
    "SP801": "Legacy.source",
    "SP802": "Legacy.source Source.user_id Source.event_time Source.topic Source.op Source.rev",
    "SP803": "Legacy.event_id Legacy.natural_key Legacy.within_s",
    "SP804": "Legacy.natural_key Legacy.columns Compared.absolute Compared.relative",
    "SP805": "EventType.lifecycle EventType.legacy",
    "SP806": "Legacy.replay",
    "SP807": "LegacySequence.replay LegacySequence.at Blobs.location",
    "SP811": "Legacy.columns LegacySequence.columns Compared.field",
    "SP812": "Compared.field Compared.cosine Column.dtype Column.unit",
    "SP813": "Compared.absolute Compared.relative Compared.cosine Compared.as_set",
    "SP814": "Explained.until",
    "SP815": "Explained.until Explained.at_most",
    "SP821": "LegacySequence.fields LegacySequence.event_id LegacySequence.event_type",
    "SP822": "LegacySequence.event_types LegacySequence.event_type",
    "SP823": "Blobs.location Blobs.user_id Blobs.events Blobs.encoding Blobs.format",
    "SP831": "Legacy.serve Legacy.event_id",
    "SP832": "Legacy.serve Legacy.columns",
    "SP833": "Legacy.serve EventType.name",
    "SP834": "Legacy.serve Column.pii",
    "SP841": "EventType.experiment Legacy.serve",
    "SP842": "UserMetric.event_type",
    "SP843": "UserMetric.kind UserMetric.column UserMetric.per",
    "SP844": "Experiment.metrics UserMetric.name",
}

_PAGE = """# Every field of a definition

What can be written, as what, what it is if it is left out, an example, the [rules](rules.md) that look at it, and what
a change of it does once days are built: **none** nothing; **compatible** nothing stored becomes wrong; **semantic**
days that are built hold what the earlier definition gave, until they are built again; **breaking** a publish is
refused, with the way out; *judged* depends on the values before and after; *by item* is judged column by column. Of the
three hashes of an object a field marked `meta` moves that alone, every other one `semantic`, and those of a column's
form `schema` as well.

This page is generated from the models: `python -m sequence_defs.analysis.reference > docs/definitions.md`.
"""
_ORDER = (
    *("Tenant", "Source", "Column", "Time", "Csv", "Join", "EventType", "Enrich", "Versioned", "Snapshot", "Derived"),
    *("Service", "Sequence", "Collapse", "Pick", "SessionView", "ObjectView", "Aggregate", "Legacy", "Compared"),
    *("Explained", "TrainingSet", "Moments", "Followed", "FewNegatives"),
    *("LegacySequence", "Blobs", "Http"),
    *("Experiment", "UserMetric"),
)
_SHAPE = frozenset(["name", "dtype", "unit", "model", "nullable"])


def page() -> str:
    """The whole page: a table each model, its docstring above."""
    return _PAGE + "".join(_section(name) for name in _ORDER)


def rules_of(model: str, field: str) -> list[str]:
    """Ids of the rules that look at a field."""
    return [rule for rule in sorted(RULES) if {f"{model}.{field}", f"*.{field}"} & set(TOUCHES.get(rule, "").split())]


def _section(name: str) -> str:
    model = type_of(name)
    assert model is not None
    text = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
    head = "| field | type | if left out | example | rules | a change is |\n|---|---|---|---|---|---|\n"
    rows = "".join(_row(model, field, about) for field, about in model.model_fields.items() if field != "kind")
    return f"\n## {name}\n\n{text}\n\n{head}{rows}"


def _row(model: type[Part], field: str, about: FieldInfo) -> str:
    rules = ", ".join(f"[{rule}](rules.md#{rule.lower()})" for rule in rules_of(model.__name__, field))
    cells = (
        f"`{field}`",
        _code(_type(about)),
        "*required*" if about.is_required() else _code(_default(about)),
        _code(example(model.__name__, field)),
        rules,
        _change(model, field),
    )
    return "| " + " | ".join(cells) + " |\n"


def _change(model: type[Part], field: str) -> str:
    found = CLASSES.get(model, {}).get(field)
    if found is ITEMS:
        said = "*by item*"
    elif found is WHOLE:
        said = "another object" if field == "name" and model.__name__ in _named() else "that of the whole"
    else:
        said = found.kind if isinstance(found, Ruling) else "*judged*"
    if model.__name__ == "Column" and field in _SHAPE:
        return f"{said}; `schema`"
    is_meta = field in META and (issubclass(model, Definition) or field in ("description", "shared_with"))
    return f"{said}; `meta`" if is_meta else said


def _named() -> set[str]:
    kinds = {"Tenant", "Source", "EventType", "Versioned", "Snapshot", "Derived", "Service", "Sequence"}
    return kinds | {"SessionView", "ObjectView", "TrainingSet"}


def _type(about: FieldInfo) -> str:
    """As an author would say it: without modules, patterns and validators."""
    text = about.annotation.__name__ if isinstance(about.annotation, type) else str(about.annotation)
    text = re.sub(r"typing\.|sequence_defs\.schema\.\w+\.|datetime\.", "", text)
    text = "".join(_without_annotated(text))
    return text.replace("NoneType", "None")


def _without_annotated(text: str) -> Iterator[str]:
    """``Annotated[str, ...]`` as ``str``, however the rest is nested."""
    at = 0
    while (start := text.find("Annotated[", at)) >= 0:
        yield text[at:start]
        depth, end, comma = 1, start + len("Annotated["), None
        while depth:
            depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(text[end], 0)
            comma = end if text[end] == "," and depth == 1 and comma is None else comma
            end += 1
        yield text[start + len("Annotated[") : comma]
        at = end
    yield text[at:]


def _default(about: FieldInfo) -> str:
    value: Any = about.get_default(call_default_factory=True)
    return '""' if value == "" else str(value) if not isinstance(value, str) else f'"{value}"'


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`" if text else ""


if __name__ == "__main__":
    sys.stdout.write(page())
