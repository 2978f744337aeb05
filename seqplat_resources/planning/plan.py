"""A plan as data: what a release changes on a channel, and the steps that follow. Made once, named by its content.

Plans lie below ``plans/`` of the installation and never change.

>>> from seqplat_resources.planning.build import made
>>> name = PlanStore(shop.home).put(made(shop, shop.loaded))
>>> PlanStore(shop.home).get(name[:8]).publishes
False
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError

from seqplat_resources.batch.backfill.price import HourPrice
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.planning.readers import Readership
from sequence_defs.compiler.release import canonical
from sequence_defs.evolution.change import DefinitionChange, Kind
from sequence_defs.evolution.compare import class_of

_FOLDER = "plans"
# By channel the name of the plan that is carried out, until that comes to its end. Where the channel did not move since
# it was made, it did not get to its days.
_BEGUN = "plans_begun"
_FORMAT = 1


class NoSuchPlan(Final):
    """None has that name, or what lies there is none."""


@dataclass(frozen=True)
class Work:
    """Days of one asset (``events/click``) to build, and what that takes; seconds are None where nobody measured it.

    ``spans`` are first and last day of each run of them. ``columns`` are those that alone are built, where the rows of
    the days stay as they are.
    """

    asset: str
    why: str
    spans: tuple[tuple[str, str], ...]
    days: int
    rows: int = 0
    bytes: int = 0
    seconds: float | None = None
    columns: tuple[str, ...] = ()

    def each_day(self) -> list[dt.date]:
        """All of its days, oldest first."""
        return [
            dt.date.fromisoformat(first) + dt.timedelta(days=n)
            for first, last in self.spans
            for n in range((dt.date.fromisoformat(last) - dt.date.fromisoformat(first)).days + 1)
        ]


@dataclass(frozen=True)
class Plan:
    """What publishing ``release`` to ``channel`` changes, as of the channel's move ``move``, and the work that follows.

    ``refused`` are the places of changes that need a reason. ``follows`` says by object what is to be done about it.
    ``readings`` are of the sequences that are reached; None where nobody counted. ``price`` is what an hour of building
    costs, where the installation says so.
    """

    channel: str
    move: int
    base: str
    release: str
    changes: tuple[DefinitionChange, ...]
    refused: tuple[DefinitionChange, ...]
    follows: Mapping[str, str]
    work: tuple[Work, ...]
    readings: tuple[Readership, ...] | None
    told: tuple[str, ...] = ()
    price: HourPrice | None = None

    @property
    def kind(self) -> Kind:
        """The class of all changes together."""
        return class_of(self.changes)

    @property
    def publishes(self) -> bool:
        """Whether the channel has to move."""
        return self.base != self.release

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.publishes or self.work)

    @property
    def sequences(self) -> list[str]:
        """Those that some change reaches, or that changed themselves."""
        reached = {name for change in self.changes for name in change.reach.sequences}
        own = {c.object.partition("/")[2] for c in self.changes if c.object.startswith("sequences/")}
        return sorted(reached | own)

    @property
    def days(self) -> int:
        return sum(each.days for each in self.work)

    @property
    def seconds(self) -> float:
        """Of what was measured."""
        return sum(each.seconds or 0.0 for each in self.work)

    @property
    def unmeasured(self) -> list[str]:
        return [each.asset for each in self.work if each.seconds is None]

    @property
    def name(self) -> str:
        """16 hexadecimal digits; equal for equal plans."""
        return hashlib.sha256(canonical(self.said())).hexdigest()[:16]

    def said(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": _FORMAT,
            "channel": self.channel,
            "move": self.move,
            "base": self.base,
            "release": self.release,
            "kind": self.kind,
            "changes": [dict(change.said()) for change in self.changes],
            "refused": [dict(change.said()) for change in self.refused],
            "follows": dict(self.follows),
            "work": [_plain(asdict(each)) for each in self.work],
            "readings": None if self.readings is None else [_plain(asdict(each)) for each in self.readings],
            "told": list(self.told),
            **({"hour_price": asdict(self.price)} if self.price else {}),
        }

    @classmethod
    def heard(cls, said: Mapping[str, Any]) -> "Plan":
        """From what ``said`` gave."""
        heard, readings = DefinitionChange.heard, said["readings"]
        return cls(
            said["channel"],
            said["move"],
            said["base"],
            said["release"],
            tuple(heard(each) for each in said["changes"]),
            tuple(heard(each) for each in said["refused"]),
            said["follows"],
            tuple(
                Work(**{**each, "spans": tuple((a, b) for a, b in each["spans"]), "columns": tuple(each["columns"])})
                for each in said["work"]
            ),
            None if readings is None else tuple(Readership(**{**r, "columns": tuple(r["columns"])}) for r in readings),
            tuple(said["told"]),
            HourPrice(**said["hour_price"]) if "hour_price" in said else None,
        )


def spans_of(days: Iterable[dt.date]) -> tuple[tuple[str, str], ...]:
    """First and last day of each run of consecutive days."""
    found: list[tuple[dt.date, dt.date]] = []
    for day in sorted(days):
        if found and day - found[-1][1] == dt.timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return tuple((str(first), str(last)) for first, last in found)


@dataclass(frozen=True)
class PlanStore:
    """The plans of an installation."""

    home: Home

    def put(self, plan: Plan) -> str:
        """Keep a plan; its name."""
        data, name = canonical(plan.said()), plan.name
        with suppress(AlreadyExistsError):  # named by its content, so what is there is the same
            obstore.put(self.home.installation.objects, f"{_FOLDER}/{name}.json", data, mode="create")
        return name

    def get(self, name: str) -> Plan:
        """A plan by its name, or the beginning of it.

        Raises:
            NoSuchPlan: there is none, or not one; it is damaged.
        """
        listed = self.home.installation.objects.list(_FOLDER).collect()
        names = [each["path"].rpartition("/")[2].removesuffix(".json") for each in listed]
        found = [each for each in names if name and each.startswith(name)]
        if len(found) != 1:
            raise NoSuchPlan(f"there is no single plan {name!r}; make one with `seqplat plan`")
        try:
            said = json.loads(bytes(self.home.installation.objects.get(f"{_FOLDER}/{found[0]}.json").bytes()))
            plan = Plan.heard(said)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NoSuchPlan(f"plan {found[0]} is damaged ({error}); make it again with `seqplat plan`") from error
        if plan.name != found[0]:
            raise NoSuchPlan(f"plan {found[0]} is damaged (its content has another name); make it again")
        return plan

    def begin(self, plan: Plan) -> None:
        """From now on it is published, and its days are built."""
        obstore.put(self.home.installation.objects, f"{_BEGUN}/{plan.channel}", plan.name.encode())

    def end(self, plan: Plan) -> None:
        """All its days were tried."""
        with suppress(FileNotFoundError):  # what ended it before
            obstore.delete(self.home.installation.objects, f"{_BEGUN}/{plan.channel}")

    def back_to(self, before: Plan | None, plan: Plan) -> None:
        """Nothing of the plan was done; what was begun ``before`` it is what is left."""
        if before is not None:
            self.begin(before)
        else:
            self.end(plan)

    def begun(self, channel: str) -> Plan | None:
        """The plan of a channel that was begun last and did not come to its end; None where there is none, or it is
        damaged.
        """
        try:
            said = self.home.installation.objects.get(f"{_BEGUN}/{channel}").bytes()
            return self.get(bytes(said).decode())
        except (FileNotFoundError, NoSuchPlan, UnicodeDecodeError):
            return None


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as JSON has them."""
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found
