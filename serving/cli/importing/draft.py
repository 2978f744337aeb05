"""Definitions as text, with what their authors still decide, and what could not be taken over."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from seqplat_resources.errors import Final
from sequence_defs.compiler.sql import SqlError, expression
from sequence_defs.schema.base import FIELD_PATTERN
from sequence_defs.schema.paths import quoted

_WIDTH = 100
# A name of our own is never one of these: they are columns of every event.
_TAKEN = frozenset({"tenant", "day", "shard", "release", "rev", "op", "offset", "user_id", "event_time", "event_type"})


class NotImported(Final):
    """A file that cannot be read as what it is said to be."""


@dataclass(frozen=True)
class ImportNote:
    """What was not taken over, where it stands, and what stands for it here."""

    where: str
    said: str

    def __str__(self) -> str:
        return f"{self.where}: {self.said}"


@dataclass(frozen=True)
class DraftColumn:
    """``field`` is its name where it comes from; ``todo`` what is to be decided."""

    name: str
    dtype: str
    sql: str = ""
    field: str = ""
    todo: str = ""
    nullable: bool = True

    def written(self) -> str:
        said = {"name": self.name, "dtype": self.dtype, "sql": self.sql, "field": self.field}
        inside = ", ".join(f"{key}={text(value)}" for key, value in said.items() if value)
        inside += "" if self.nullable else ", nullable=False"
        return f"Column({inside})," + (f"  # TODO: {self.todo}" if self.todo else "")


@dataclass
class Draft:
    """``definitions`` in their order, and ``notes`` of what is not in them."""

    definitions: list[str] = field(default_factory=list)
    notes: list[ImportNote] = field(default_factory=list)
    names: set[tuple[str, str]] = field(default_factory=set)

    def copy(self) -> "Draft":
        """One that can be added to without adding to this one."""
        return Draft([*self.definitions], [*self.notes], set(self.names))

    def add(self, model: str, name: str, fields: Mapping[str, object], todo: Iterable[str] = ()) -> None:
        """A definition; values that are not text are written as they stand. Of two of one name the first stays."""
        if (model, name) in self.names:
            self.notes.append(ImportNote(name, f"{model} {name!r} is there already; the second one was left out"))
            return
        self.names.add((model, name))
        said = {key: value for key, value in fields.items() if value not in ("", None, ())}
        lines = [f"    {key}={_value(value)}," for key, value in {"name": name, **said}.items()]
        above = [f"# TODO: {each}" for each in todo]
        self.definitions.append("\n".join([*above, f"{_variable(model, name)} = {model}(", *lines, ")"]))

    def note(self, where: str, said: str) -> None:
        self.notes.append(ImportNote(where, said))

    def page(self, head: str) -> str:
        """The whole file of Python."""
        models = sorted({each.partition(" = ")[2].partition("(")[0] for each in map(_code, self.definitions)})
        parts = sorted({part for part in ("Column", "Time") if any(f"{part}(" in each for each in self.definitions)})
        dates = ["import datetime as dt", ""] if any("dt.date(" in each for each in self.definitions) else []
        imports = f"from sequence_defs import {', '.join(sorted({*models, *parts}))}"
        left = [f"# - {_comment(str(each))}" for each in self.notes]
        notes = ["", "# Not taken over:", *left] if left else []
        body = [f"\n{each}\n" for each in self.definitions]
        return "\n".join([f'"""{head}"""', "", *dates, imports, *notes, "", *body])


class Written(str):
    """Python text of a value, to be written as it stands."""


def text(value: str) -> str:
    """As a literal in double quotes."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{min(ord(c), 0xFFFF):04x}" for c in plain) + '"'


def columns(of: Iterable[DraftColumn]) -> Written:
    """A tuple of columns, one a line."""
    return Written("(\n" + "".join(f"        {each.written()}\n" for each in of) + "    )")


def name_of(foreign: str) -> str:
    """A name of ours for theirs."""
    plain = re.sub(r"\W+", "_", foreign, flags=re.ASCII).strip("_").lower()
    plain = re.sub(r"^[0-9_]+", "", plain)[:63] or "unnamed"
    return f"{plain[:57]}_value" if plain in _TAKEN else plain


def column_of(foreign: str, dtype: str, *, sql: str = "", todo: str = "", nullable: bool = True) -> DraftColumn:
    """A column of a source under its name, or under a plain one where that is no name of ours."""
    name = foreign if re.fullmatch(FIELD_PATTERN, foreign) else name_of(foreign)
    return DraftColumn(name, dtype, sql, "" if name == foreign or sql else quoted(foreign), todo, nullable)


def is_ours(sql: str) -> bool:
    """Whether an expression is one of our SQL as well."""
    try:
        expression(sql)
    except SqlError:
        return False
    return True


def _value(value: object) -> str:
    if isinstance(value, Written):
        return str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, tuple):
        return "(" + "".join(f"{text(str(each))}, " for each in value).strip() + ")"
    return repr(value)


def _variable(model: str, name: str) -> str:
    return f"{name}_{model.lower()}"


def _code(definition: str) -> str:
    return next(line for line in definition.splitlines() if not line.startswith("#"))


def _comment(said: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:300]
