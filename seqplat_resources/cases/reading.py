"""Cases as they are written: ``NAME.test.yaml`` beside the definitions, read with the line of everything.

A value stays what it looks like: ``2026-11-03`` is text, as it would be in a file of rows.

>>> text = '''
... cases:
...   - name: a view
...     event_type: view
...     rows: [{at: 2026-11-03T10:00:00Z}]
...     events: [{event_time: 2026-11-03T10:00:00Z}]
... '''
>>> (case,) = parsed(text, "views.test.yaml")
>>> case.name, case.line, case.rows
('a view', 3, {'': [{'at': '2026-11-03T10:00:00Z'}]})
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import yaml  # type: ignore[import-untyped]

from seqplat_resources.errors import Final

SUFFIXES = (".test.yaml", ".test.yml")
_KEYS = ("name", "event_type", "sequence", "user", "rows", "enrichments", "events", "rejects", "now", "limit")
_BRACKET, _INDENT, _DEEP = re.compile(r"[\[\]{}]"), re.compile(r"^[ \-?:]+", re.MULTILINE), 200
Row = dict[str, Any]


class CaseInvalid(Final):
    """A file of cases that is no YAML, or says what no case has."""


@dataclass(frozen=True)
class RowCase:
    """One case. ``rows`` by source; of an event type there is one, named ``""``. ``events`` None: nobody said yet.

    ``rejects`` are parts of reasons. ``now`` is our clock, UTC; None for that of the machine.
    """

    file: str
    line: int
    name: str
    rows: Mapping[str, list[Row]]
    event_type: str = ""
    sequence: str = ""
    user: str = ""
    enrichments: Mapping[str, list[Row]] = field(default_factory=dict)
    events: list[Row] | None = None
    rejects: list[str] = field(default_factory=list)
    now: dt.datetime | None = None
    limit: int | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


def files_of(path: Path) -> list[Path]:
    """A file of cases, or all below a folder, by name."""
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*.test.y*ml") if each.name.endswith(SUFFIXES))


def cases_of(file: Path) -> list[RowCase]:
    """
    Raises:
        CaseInvalid: it cannot be read; the message says line and column.
    """
    try:
        return parsed(file.read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise CaseInvalid(f"{file}: cannot be read ({error})") from error


def parsed(text: str, file: str) -> list[RowCase]:
    """The cases of a text; ``file`` is what it is called in errors. Raises as ``cases_of``."""
    try:
        root = yaml.compose(text, Loader=_loader(text))
    except RecursionError as error:
        raise CaseInvalid(f"{file}: no YAML: brackets within brackets, more than a thousand") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise CaseInvalid(f"{file}{at}: no YAML: {said}") from error
    if root is None:
        return []
    said = _mapping(root, file, ("cases",))
    items = said.get("cases")
    if items is None or not isinstance(items, yaml.SequenceNode):
        raise _wrong(file, items or root, "write cases: and a list of them below it")
    return [_case(item, file) for item in items.value]


class _CaseLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Times stay text, and ``no`` and ``on`` too: only what JSON has is more than that."""


_JSON = (
    ("null", r"null|~", "n~"),
    ("bool", r"true|false", "tf"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|\.nan|-?\.inf", "-0123456789."),
)
_CaseLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _starts in _JSON:
    _CaseLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), [*_starts])
_CaseLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same on libyaml, where PyYAML was built with it: ten times as fast."""

    yaml_implicit_resolvers = _CaseLoader.yaml_implicit_resolvers


class CaseDumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes text so that it is read as text here and by YAML 1.1: ``1e5`` is a number here, ``no`` a bool there."""

    yaml_implicit_resolvers: ClassVar = {
        first: [*_CaseLoader.yaml_implicit_resolvers.get(first, ()), *others]
        for first, others in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }


def _loader(text: str) -> type[yaml.SafeLoader]:
    """The fast one, but where nesting is deep: there libyaml overruns the stack of the process."""
    depth = most = 0
    for mark in _BRACKET.finditer(text):
        depth += 1 if mark[0] in "[{" else -1
        most = max(most, depth)
    indented = max(map(len, _INDENT.findall(text)), default=0)
    return _FastLoader if most < _DEEP and indented < _DEEP else _CaseLoader


def nodes_of(text: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each case's node and the nodes of its values by key, of a text that ``parsed`` has taken."""
    root = yaml.compose(text, Loader=_loader(text))
    for item in next(value for key, value in root.value if key.value == "cases").value:
        yield item, {key.value: value for key, value in item.value}


def _case(node: Any, file: str) -> RowCase:
    said = _mapping(node, file, _KEYS)
    line = node.start_mark.line + 1
    for value in said.values():
        _require_plain(file, value, set())
    made = {key: _value(value) for key, value in said.items()}
    subject = [key for key in ("event_type", "sequence") if made.get(key)]
    if len(subject) != 1:
        raise _wrong(file, node, "a case says event_type: or sequence:, one of them")
    if subject == ["sequence"] and made.get("user") is None:
        raise _wrong(file, node, "a case of a sequence says whose: user: NAME")
    rows = made.get("rows") or []
    if subject == ["event_type"] and not isinstance(rows, list):
        raise _wrong(file, said["rows"], "rows: of an event type are a list of rows")
    if subject == ["sequence"] and not isinstance(rows, dict):
        raise _wrong(file, said.get("rows", node), "rows: of a sequence are lists of rows by source: {clicks: [...]}")
    tables = rows if isinstance(rows, dict) else {"": rows}
    for key, some in (("rows", tables), ("enrichments", made.get("enrichments") or {})):
        if not isinstance(some, dict) or not all(map(_is_rows, some.values())):
            raise _wrong(file, said[key], f"{key}: rows are mappings of fields, in a list: [{{sku: 7}}]")
    if made.get("events") is not None and not _is_rows(made["events"]):
        raise _wrong(file, said["events"], "events: are mappings of columns, in a list")
    if made.get("rejects") is not None and not isinstance(made["rejects"], list):
        raise _wrong(file, said["rejects"], "rejects: are parts of reasons, in a list: [null, but it is required]")
    limit = made.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise _wrong(file, said["limit"], f"limit: {limit} is no number of events; write one from 0 on")
    return RowCase(
        file,
        line,
        str(made.get("name") or f"case in line {line}"),
        tables,
        str(made.get("event_type") or ""),
        str(made.get("sequence") or ""),
        str(made.get("user") if made.get("user") is not None else ""),
        made.get("enrichments") or {},
        made.get("events"),
        [str(each) for each in made.get("rejects") or []],
        _now(made.get("now"), file, said),
        limit,
    )


def _now(text: Any, file: str, said: dict[str, Any]) -> dt.datetime | None:
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError as error:
        raise _wrong(file, said["now"], f"now: {text} is no time; write it as 2026-11-30T12:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _is_rows(some: object) -> bool:
    return isinstance(some, list) and all(isinstance(row, dict) for row in some)


def _mapping(node: Any, file: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(file, node, f"expected {' or '.join(f'{key}:' for key in known[:3])}, ...")
    found: dict[str, Any] = {}
    for key, value in node.value:
        if key.value not in known:
            near = get_close_matches(str(key.value), known, n=1)
            guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise _wrong(file, key, f"{key.value!r} is nothing that is read here; {guess}")
        if key.value in found:
            raise _wrong(file, key, f"{key.value!r} is said twice")
        found[key.value] = value
    return found


def _require_plain(file: str, node: Any, seen: set[int]) -> None:
    """No field of a row is said twice, of which YAML would keep the last, or taken over from another row."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_plain(file, item, seen)
        return
    names = set[str]()
    for key, value in node.value:
        if key.value == "<<" and not key.style:  # one in quotes is a name
            raise _wrong(file, key, "'<<' is not read here; write the row out")
        if key.value in names:
            raise _wrong(file, key, f"{key.value!r} is said twice in one row")
        names.add(str(key.value))
        _require_plain(file, value, seen)


def _value(node: Any) -> Any:
    return _Plain("").construct_document(node)


class _Plain(_CaseLoader):
    """Makes values of nodes."""


def _wrong(file: str, node: Any, what: str) -> CaseInvalid:
    return CaseInvalid(f"{file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: {what}")
