"""One change of a definition: what moved, of which class it is, what it reaches, and the way out where it breaks."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

Kind = Literal["none", "compatible", "semantic", "breaking"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True)
class Ruling:
    """The class of a change, why it is of it, and what to do instead where it breaks."""

    kind: Kind
    why: str
    way_out: str = ""


@dataclass(frozen=True)
class Reach:
    """What is made of the thing that moved. ``columns`` are named ``<event type>.<column>``; all are sorted."""

    event_types: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    training: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        event_types: Iterable[str] = (),
        columns: Iterable[str] = (),
        sequences: Iterable[str] = (),
        training: Iterable[str] = (),
    ) -> "Reach":
        return cls(*(tuple(sorted(set(names))) for names in (event_types, columns, sequences, training)))


@dataclass(frozen=True)
class DefinitionChange:
    """One field of one object (``event_types/purchase``) that moved, or a whole object (``field`` is empty then).

    ``field`` is a path: ``columns.amount.dtype``. ``before`` and ``after`` are as in the release's JSON; None where
    there is nothing.
    """

    object: str
    field: str
    before: Any
    after: Any
    ruling: Ruling
    reach: Reach = Reach()

    @property
    def kind(self) -> Kind:
        return self.ruling.kind

    @property
    def why(self) -> str:
        return self.ruling.why

    @property
    def way_out(self) -> str:
        return self.ruling.way_out

    @property
    def place(self) -> str:
        """The object and the field: ``event_types/purchase columns.amount.dtype``."""
        return f"{self.object} {self.field}".rstrip()

    def said(self) -> Mapping[str, Any]:
        """As JSON."""
        return {
            "object": self.object,
            "field": self.field,
            "before": self.before,
            "after": self.after,
            **asdict(self.ruling),
            "reach": asdict(self.reach),
        }

    @classmethod
    def heard(cls, said: Mapping[str, Any]) -> "DefinitionChange":
        """From what ``said`` gave."""
        ruling = Ruling(said["kind"], said["why"], said["way_out"])
        reach = Reach.of(**said["reach"])
        return cls(said["object"], said["field"], said["before"], said["after"], ruling, reach)


def worst(kinds: Iterable[Kind]) -> Kind:
    """The class of all of them together; ``none`` without any."""
    return max(kinds, key=KINDS.index, default="none")
