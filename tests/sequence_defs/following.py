"""A finding's fix, followed as its words say: the edit that a person would make in the file."""

import ast
import re
from difflib import SequenceMatcher

from sequence_defs.analysis.diagnostics import Diagnostic

_MEANT = re.compile(r"did you mean '([^']+)'\?")
_SET = re.compile(r"\b(?:write|declare|set|keep) (\w+=(?:'[^']*'|True|False|\d+|\w+\(.*?\)))(?=$|,|;| )")
_IT = re.compile(r"^declare it (?:as )?'?(\w+)'?")
_DROP = re.compile(r"\bdrop `?(\w+)(?:=|`|$)")


class CannotFollow(Exception):
    """The fix leaves a decision to its reader."""


def followed(text: str, found: Diagnostic) -> str:
    """The file with the fix applied at the line of the finding.

    Raises:
        CannotFollow: its words name no edit.
    """
    if meant := _MEANT.search(found.fix):
        return _renamed(text, found, meant[1])
    tree = ast.parse(text)
    call = _call_at(tree, found.where.line)
    if wanted := _SET.search(found.fix):
        name, _, value = wanted[1].partition("=")
        _set(call, name, ast.parse(value, mode="eval").body)
    elif wanted := _IT.search(found.fix):
        _set(call, "dtype", ast.Constant(wanted[1]))
    elif dropped := _DROP.search(found.fix):
        call.keywords = [each for each in call.keywords if each.arg != dropped[1]]
    else:
        raise CannotFollow(found.fix)
    return ast.unparse(tree)


def _renamed(text: str, found: Diagnostic, meant: str) -> str:
    """The word of the message that is nearest to the one that was meant becomes it, at the first place below."""
    words = [word for word in re.findall(r"'([^']+)'", found.message) if word != meant and " " not in word]
    wrong = max(words, key=lambda word: SequenceMatcher(None, word, meant).ratio())
    lines = text.splitlines(keepends=True)
    before, below = "".join(lines[: found.where.line - 1]), "".join(lines[found.where.line - 1 :])
    changed = re.sub(rf"\b{re.escape(wrong)}\b", meant, below, count=1)
    if changed == below:
        raise CannotFollow(found.fix)
    return before + changed


def _call_at(tree: ast.AST, line: int) -> ast.Call:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.lineno == line]
    return min(calls, key=lambda call: call.col_offset)


def _set(call: ast.Call, name: str, value: ast.expr) -> None:
    call.keywords = [*(each for each in call.keywords if each.arg != name), ast.keyword(name, value)]
