"""What a model refuses, in words of the one who wrote it: which field, what was probably meant, and an example.

>>> from sequence_defs.schema import Column
>>> try:
...     Column(name="price", dtype="str")
... except ValidationError as error:
...     print(told(error).split(" There are")[0])
...
Column is not valid: dtype: 'str' is no column type; did you mean 'string'?
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

import sequence_defs.schema as models
from sequence_defs.authoring.examples import example, type_of
from sequence_defs.authoring.types import meant
from sequence_defs.schema.base import COLUMN_PATTERN, FIELD_PATTERN, NAME_PATTERN, Part
from sequence_defs.schema.dtypes import SCALARS, VECTOR_ITEMS
from sequence_defs.schema.paths import quoted

_Refused = Mapping[str, Any]
_MOST_CHARS = 80
_COMMA_TYPES = ("tuple_type", "list_type", "set_type", "frozen_set_type")


def told(error: ValidationError) -> str:
    """``Column is not valid: dtype: 'str' is no column type; did you mean 'string'?``: all that is wrong with one."""
    model = error.title
    by_field: dict[tuple[str | int, ...], list[_Refused]] = {}
    for refused in error.errors():
        by_field.setdefault(_field(model, refused["loc"]), []).append(refused)
    # Of a misspelt field one thing is wrong, though the right one is missing, too.
    misspelt = "".join(
        _other_field(*_owner(model, f)) for f, r in by_field.items() if r[0]["type"] == "extra_forbidden"
    )
    wrong = {f: r for f, r in by_field.items() if r[0]["type"] != "missing" or f"mean {f[-1]!r}?" not in misspelt}
    return f"{model} is not valid: " + "; ".join(_of_field(model, *each) for each in wrong.items())


def told_of_name(error: Exception) -> str:
    """What an error of Python says, with the name of ours that was probably meant, or how fields are given."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, TypeError) and re.search(r"takes 1 positional argument but \d+ were given", str(error)):
        return f"{said}; fields are given by name: {_call('Column', ('name', 'dtype'))}"
    unknown = re.search(r"(?:cannot import name|name) '(\w+)'", str(error))
    if isinstance(error, NameError | ImportError) and unknown:
        return said + _nearest(unknown[1], models.__all__)
    return said


def _of_field(model: str, field: tuple[str | int, ...], refused: list[_Refused]) -> str:
    """One field and all that is wrong with it, which for a union is one sentence per way to read it."""
    owner, last = _owner(model, field)
    path, first = ".".join(map(str, field)) or model, refused[0]
    if comma := _comma(owner, last, field, refused):
        return f"{path}: {comma}"
    if first["type"] == "missing":
        return f"{path}: it is missing; write {example(owner, last) or f'{last}=...'}"
    if first["type"] == "extra_forbidden":
        return f"{path}: there is no such field{_other_field(owner, last)}"
    if last == "dtype":
        return f"{path}: {_of_dtype(first['input'])}"
    if said := _of_name(owner, last, first):
        return f"{path}: {said}" if owner != "Column" or last != "name" else said
    reasons = list(dict.fromkeys(_reason(each) for each in refused))
    shown = example(owner, last)
    hint = _choice(refused) or (f"; as in {shown}" if shown else "")
    return f"{path}: {' or '.join(reasons)}, and not {_shown(first['input'])}{hint}"


def _comma(model: str, last: str, field: tuple[str | int, ...], refused: Iterable[_Refused]) -> str:
    """That a tuple of one has no comma: then Python gives the thing itself, and a model as its fields in pairs."""
    for each in refused:
        value = each["input"]
        if each["type"] in _COMMA_TYPES and isinstance(value, str):
            return f"{_shown(value)} is one text, and no tuple: a tuple of one has a comma: {last}=({_literal(value)},)"
        if each["type"] in _COMMA_TYPES and isinstance(value, Part):
            return _one_part(last, type(value).__name__)
        is_pair = each["loc"][len(field) :][:1] == (0,) and isinstance(value, tuple) and len(value) == 2
        if is_pair and (kind := _first_field(value[0], model, last)):
            return _one_part(last, kind)
    return ""


def _one_part(last: str, kind: str) -> str:
    return f"{kind}(...) is one, and no tuple of them: a tuple of one has a comma: {last}=({kind}(...),)"


def _first_field(name: object, model: str, field: str) -> str:
    """The model whose values a tuple ``field`` holds, if ``name`` is its first field."""
    held = _held(model, field)
    found = type_of(held)
    return held if found and next(iter(found.model_fields)) == name else ""


def _other_field(model: str, name: str) -> str:
    known = type_of(model)
    if known is None:
        return ""
    return _nearest(name, known.model_fields) or f"; {model} has {', '.join(known.model_fields)}"


def _of_dtype(value: object) -> str:
    word = value.__name__ if type(value) is type else str(value)
    near = None if value is None else meant(word)
    shown = repr(word) if isinstance(value, str) else _shown(value)
    hint = f"did you mean {near!r}? There are" if near else "there are"
    vector = f"vector[<{'|'.join(VECTOR_ITEMS)}>,<dimension>]"
    return f"{shown} is no column type; {hint} {', '.join(SCALARS)}, list[<scalar>] and {vector}"


def _of_name(model: str, field: str, refused: _Refused) -> str:
    """What is said of a text that is no name; blank where that is not what is wrong."""
    if refused["type"] != "string_pattern_mismatch":
        return ""
    pattern, name = refused["ctx"]["pattern"], str(refused["input"])
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lstrip("0123456789_").lower()[:63]
    if pattern == FIELD_PATTERN and (model, field) == ("Column", "name"):
        plain = plain or "column"
        return (
            f"{_shown(name)} is no name for a column, which has letters, digits and underscores and begins with a "
            f"letter: name it {plain!r} and say which field it is with field={quoted(name)!r}"
        )
    if pattern in (NAME_PATTERN, COLUMN_PATTERN, FIELD_PATTERN):
        rule = "a name has lowercase letters, digits and underscores, at most 63, and begins with a letter"
        hint = f"; write {plain!r}" if plain else ""
        return f"{_shown(name)} is no name: {rule}{hint}"
    return ""


def _reason(refused: _Refused) -> str:
    """Pydantic's own words, as the rest of a sentence."""
    said = str(refused["msg"]).removeprefix("Value error, ")
    return re.sub(r"^Input should be", "it is to be", said)


def _choice(refused: Iterable[_Refused]) -> str:
    """Of closed choices the nearest one."""
    literals = [each for each in refused if each["type"] == "literal_error"]
    near = (_nearest(str(e["input"]), re.findall(r"'([^']*)'", e["ctx"]["expected"])) for e in literals)
    return next(filter(None, near), "")


def _owner(model: str, field: tuple[str | int, ...]) -> tuple[str, str]:
    """The model that a path of names and items leads into, and the last name of it."""
    names = [step for step in field if isinstance(step, str)]
    for name in names[:-1]:
        model = _held(model, name)
    return model, names[-1] if names else ""


def _held(model: str, field: str) -> str:
    """The model whose values a field holds; blank if they are none."""
    inside = re.search(r"\b([A-Z]\w+)\(", example(model, field))
    return inside[1] if inside and type_of(inside[1]) else ""


def _field(model: str, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Of the place of an error what an author wrote: pydantic's names for the ways to read a union are left out, and
    an item that is refused as a whole is its tuple's.
    """
    steps, at = list[str | int](), model
    for step in loc:
        known = type_of(at)
        if isinstance(step, int):
            steps.append(step)
        elif not steps or (known and step in known.model_fields):
            steps.append(step)
            at = _held(at, step)
        elif known and step == loc[-1] and step not in (at, "function-after", "constrained-str"):
            steps.append(step)  # a field that there is not
    while steps and isinstance(steps[-1], int):
        steps.pop()
    return tuple(steps)


def _nearest(name: str, options: Iterable[str]) -> str:
    known = {option.lower(): option for option in options}
    near = get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {known[near[0]]!r}?" if near else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}..."


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _call(model: str, fields: Iterable[str]) -> str:
    return f"{model}({', '.join(example(model, field) for field in fields)})"
