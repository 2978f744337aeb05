"""Definitions as the Python an author would have written: only what is not the default, a line each if long."""

import datetime as dt
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

from sequence_defs.schema import Definition
from sequence_defs.schema.base import Part

_WIDTH = 110


def module_of(doc: str, definitions: Iterable[tuple[str, Definition]]) -> str:
    """A module with variables and what they hold, in order."""
    some = list(definitions)
    kinds = sorted({name for _, each in some for name in _kinds(each)})
    bodies = [f"{variable(name)} = {_written(each, 0)}" for name, each in some]
    dates = "import datetime as dt\n\n" if any("dt.date(" in body for body in bodies) else ""
    imports = f"{dates}from sequence_defs import {', '.join(kinds)}"
    return "\n".join([f'"""{doc}"""', "", imports, "", *("\n".join([body, ""]) for body in bodies)])


def variable(name: str) -> str:
    """A name that Python takes."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _kinds(value: Any) -> set[str]:
    if isinstance(value, Part):
        inside = (_kinds(getattr(value, name)) for name in type(value).model_fields)
        return {type(value).__name__}.union(*inside)
    if isinstance(value, tuple | list):
        return set().union(*map(_kinds, value))
    return set().union(*map(_kinds, value.values())) if isinstance(value, Mapping) else set()


def _written(value: Any, indent: int) -> str:
    if isinstance(value, Part):
        pairs = [
            (f"{name}=", each)
            for name, field in type(value).model_fields.items()
            if (each := getattr(value, name)) != field.get_default(call_default_factory=True)
        ]
        return _listed(type(value).__name__ + "(", pairs, ")", indent, is_tuple=False)
    if isinstance(value, tuple):
        return _listed("(", [("", each) for each in value], ")", indent, is_tuple=True)
    if isinstance(value, Mapping):
        return _listed("{", [(f"{_text(key)}: ", each) for key, each in value.items()], "}", indent, is_tuple=False)
    if isinstance(value, dt.date):
        return f"dt.date({value.year}, {value.month}, {value.day})"
    return _text(value) if isinstance(value, str) else repr(value)


def _listed(start: str, pairs: list[tuple[str, Any]], end: str, indent: int, *, is_tuple: bool) -> str:
    inner = [f"{name}{_written(each, indent + 4)}" for name, each in pairs]
    line = start + ", ".join(inner) + ("," if is_tuple and len(inner) == 1 else "") + end
    is_definition = indent == 0
    if len(line) + indent <= _WIDTH and "\n" not in line and not is_definition:
        return line
    space = " " * (indent + 4)
    return start + "\n" + "".join(f"{space}{each},\n" for each in inner) + " " * indent + end


def _text(value: str) -> str:
    plain = repr(value)
    # As formatters write it: double quotes, unless that costs escapes.
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain else plain
