"""What is kept of one event type on its way from legacy: moves, verdicts with what led to them, accepted differences.

Read from the home when somebody asks for it, which takes some requests to storage: never on an event loop.
"""

import datetime as dt
import logging
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import polars as pl

from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.commands import command
from seqplat_resources.lake.layout import SHADOW, SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.redaction import HIDDEN
from seqplat_resources.shadow.experiment.view import ReadoutView, newest_view
from seqplat_resources.shadow.ladder.moves import Ladder, Move
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference, AcceptedDifferences
from seqplat_resources.shadow.verdict.account import AccountTable, headline, tables
from seqplat_resources.shadow.verdict.record import Example, VerdictLog, VerdictRecord, load
from sequence_defs.compiler.release import Release

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
Looked = tuple[Example, str]


@dataclass(frozen=True)
class Account:
    """A verdict in words."""

    headline: str
    number: int
    at: dt.datetime
    who: str
    release: str
    tables: Sequence[AccountTable]


@dataclass(frozen=True)
class Migration:
    """Of one event type; the ``accounts`` of the sequences that have it follow its own. ``errors`` are what could not
    be read, and then the rest is there.
    """

    moves: Sequence[Move]
    accounts: Sequence[Account]
    examples: Sequence[Looked]
    accepted: Sequence[AcceptedDifference]
    readout: ReadoutView | None
    errors: Sequence[str]


def migration_of(
    runtime: Runtime, name: str, *, sees: Container[str], may_see_users: Callable[[str | None], bool]
) -> Migration:
    """What is kept, for somebody who ``sees`` sequences of these names, and users of these tenants."""
    errors: list[str] = []

    def read(what: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return what()
        except (Exception, pl.exceptions.PanicException) as error:  # whatever is damaged, the rest is shown
            _log.warning("of event type %s not everything can be read: %s", name, error)
            errors.append(str(error))
            return otherwise

    release, home = runtime.release, runtime.home
    definition = release.event_types[name]
    logs = [(VerdictLog(home, name), definition.tenant)]
    for each in Partitions.of(release).shadow_sequences:
        sequence = release.sequences[each]
        if name in sequence.event_types and each in sees:
            logs.append((VerdictLog(home, each, SHADOW_SEQUENCES), sequence.tenant))
    accounts, examples, accepted = list[Account](), list[Looked](), list[AcceptedDifference]()
    for log, tenant in logs:
        differences = AcceptedDifferences(home, log.event_type, runtime.clock, log.layer)
        accepted += read(lambda of=differences: of.current().differences, ())  # type: ignore[misc]
        newest = read(lambda of=log: _newest(of), None)  # type: ignore[misc]
        if newest is not None:
            accounts.append(_account(*newest, with_users=may_see_users(tenant)))
            if log.layer == SHADOW and may_see_users(tenant):
                examples += looked_at(release, name, newest[1].examples, sees=sees)
    moves: list[Move] = read(Ladder(home, definition, runtime.clock).history, [])
    readout = read(lambda: newest_view(runtime, name), None)
    return Migration(moves, accounts, examples, accepted, readout, errors)


def looked_at(
    release: Release, name: str, examples: Sequence[Example], *, sees: Container[str], is_sequence: bool = False
) -> Iterator[Looked]:
    """Each with the command that says why its event is, or is not, in a sequence; blank where there is none to see."""
    having = [each for each, of in release.sequences.items() if name in of.event_types]
    sequence = next((each for each in ([name] if is_sequence else having) if each in sees), "")
    for example in examples:
        is_known = sequence and example.user != HIDDEN
        event = [example.event_id] if example.event_id else []
        yield example, command("explain", sequence, example.user, *event) if is_known else ""


def _newest(log: VerdictLog) -> tuple[int, VerdictRecord] | None:
    found = log.latest()
    return None if found is None else (found[0], load(found[1]))


def _account(number: int, record: VerdictRecord, *, with_users: bool) -> Account:
    cohorts = record.cohorts if with_users else tuple(replace(each, users=()) for each in record.cohorts)
    shown = tables(replace(record, cohorts=cohorts, examples=()))
    return Account(headline(record), number, record.at, record.who, record.release, shown)
