"""Python read without running it: calls, names of them, and plain values. What code computes stays unknown."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from serving.cli.importing.draft import NotImported

MOST_BYTES = 1 << 20
_DEEPEST = 40


@dataclass(frozen=True)
class Unknown:
    """What only running the code would tell."""

    line: int


@dataclass(frozen=True)
class Called:
    """``name`` is the last part of what is called: ``feast.Entity`` and ``Entity`` are the same."""

    name: str
    line: int
    positional: tuple["Value", ...] = ()
    named: Mapping[str, "Value"] = field(default_factory=dict)

    def get(self, *names: str) -> "Value":
        """The first of the arguments that is there."""
        return next((self.named[name] for name in names if name in self.named), None)


Value: TypeAlias = "str | int | float | bool | Unknown | Called | list[Value] | dict[str, Value] | None"


def calls(code: bytes, where: str) -> list[Called]:
    """All calls that are assigned, or stand alone, at the top of a module; and functions with what decorates them.

    Raises:
        NotImported: it is no Python, or too much.
    """
    if len(code) > MOST_BYTES:
        raise NotImported(f"{where} has more than {MOST_BYTES} bytes; import the files of definitions alone")
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line, said = "", str(error)
        if isinstance(error, SyntaxError):
            line, said = (f":{error.lineno}" if error.lineno else ""), error.msg  # as text it has a "<unknown>" file
        raise NotImported(f"{where}{line} is no Python that can be read: {said}") from error
    known: dict[str, Value] = {}
    found = list[Called]()
    for node in tree.body:
        value: Value = None
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            value = _value(node.value, known, 0)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            known |= {target.id: value for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Expr):
            value = _value(node.value, known, 0)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            decorated = (_value(each, known, 0) for each in node.decorator_list)
            found += [each for each in decorated if isinstance(each, Called)]
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Called)]
    return found


def _value(node: ast.expr, known: Mapping[str, Value], depth: int) -> Value:  # noqa: PLR0911 - one per form
    if depth > _DEEPEST:
        return Unknown(node.lineno)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str | int | float | bool | None) else Unknown(node.lineno)
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)  # what is imported stands for itself: `Int64`
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(each, known, depth + 1) for each in node.elts]
    if isinstance(node, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else "" for key in node.keys]
        pairs = zip(keys, node.values, strict=True)
        return {str(key): _value(value, known, depth + 1) for key, value in pairs if key}
    if isinstance(node, ast.Call):
        return _call(node, known, depth)
    return Unknown(node.lineno)


def _call(node: ast.Call, known: Mapping[str, Value], depth: int) -> Value:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if not called:
        return Unknown(node.lineno)
    positional = tuple(_value(each, known, depth + 1) for each in node.args)
    named = {each.arg: _value(each.value, known, depth + 1) for each in node.keywords if each.arg}
    return Called(called, node.lineno, positional, named)
