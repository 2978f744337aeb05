"""What of the checks is asked for, as the address of the page says it, so that it can be sent to somebody."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from seqplat_resources.health.filters import Wanted
from seqplat_resources.health.view import WORST_FIRST, Health, Status
from serving.api.parameters import BadParameter, only
from serving.api.paths import CONSOLE
from serving.console.words import WORDS

_INCIDENTS = ("", "all")


@dataclass(frozen=True)
class Filters:
    """One of each at most; None leaves none out. ``page`` is one of rows, ``incidents`` says whether all are shown."""

    owner: str | None = None
    tenant: str | None = None
    check: str | None = None
    status: Status | None = None
    page: int = 1
    incidents: str = ""

    @classmethod
    def of(cls, query_string: bytes) -> "Filters":
        """
        Raises:
            UnknownParameter, BadParameter: something else, twice, or a value that cannot be.
        """
        given = only(tuple(each.name for each in fields(cls)), query_string)
        status = given.get("status") or None
        if status is not None and status not in WORST_FIRST:
            raise BadParameter("status", f"there is no status {status!r}", fix=f"use one of {', '.join(WORST_FIRST)}")
        incidents = given.get("incidents") or ""
        if incidents not in _INCIDENTS:
            raise BadParameter("incidents", f"incidents is {incidents!r}", fix="use all, or leave it out")
        text = {name: given.get(name) or None for name in ("owner", "tenant", "check")}
        return cls(**text, status=status, page=_page(given.get("page") or "1"), incidents=incidents)

    @property
    def is_any(self) -> bool:
        """Whether they may leave something out."""
        return any((self.owner, self.tenant, self.check, self.status))

    @property
    def wanted(self) -> Wanted:
        """The part of the view that they leave."""
        return Wanted(self.owner, self.tenant, self.check, self.status)

    def but(self, **changes: Any) -> str:
        """The address with something changed, on the first page; with what it has already, without that."""
        same = {name: None for name, value in changes.items() if name == "status" and getattr(self, name) == value}
        changed = replace(self, **{"page": 1, **changes, **same})
        said = {each.name: getattr(changed, each.name) for each in fields(changed)}
        kept = {name: str(value) for name, value in said.items() if value and (name, value) != ("page", 1)}
        return f"{CONSOLE}?{urlencode(kept, errors='replace')}" if kept else CONSOLE

    def choices(self, health: Health) -> list[tuple[str, str, Sequence[tuple[str, str]]]]:
        """Of each filter its name, its label, and what there is to choose; what is chosen is always among it."""
        found: list[tuple[str, str, Sequence[tuple[str, str]]]] = []
        for name, label in (("owner", "Owner"), ("tenant", "Tenant"), ("check", "Check")):
            there = {getattr(row, name) for row in health.rows} | {getattr(self, name)}
            found.append((name, label, [(value, value) for value in sorted(filter(None, there))]))
        found.append(("status", "Status", [(status, WORDS[status]) for status in WORST_FIRST]))
        return found


def _page(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0 and len(text) < 9):
        raise BadParameter("page", f"page is {text!r}", fix="use a whole number from 1 on")
    return int(text)
