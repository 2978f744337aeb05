"""Reading: a pin, then users' indexes and now blocks, then blocks; each for everything asked for, in one round trip.

What a snapshot reads was, at one moment, all there: blocks that its epoch shows are deleted only after the epoch is not
kept any more, and so are now blocks whose rows it does not cover. So after reading an index or now blocks, the snapshot
looks whether its epochs are still kept, and where they are not it raises EpochGoneError. On one server, that look is
the last command of the same round trip. On a cluster it goes with the next one; for what was read ahead, at the latest
when the snapshot ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.contract import Epoch, HistoryBlock, ReadAhead, StoreSnapshot
from seqplat_resources.online_store.errors import EpochGoneError
from seqplat_resources.online_store.now_view import NowBlock, StreamPosition
from seqplat_resources.online_store.redis import arrivals, census, now
from seqplat_resources.online_store.redis.catalog import Catalog
from seqplat_resources.online_store.redis.records import entries
from seqplat_resources.online_store.redis.records.entries import Choice, Index
from seqplat_resources.online_store.redis.records.names import type_name
from seqplat_resources.online_store.redis.records.pins import EpochHead, Pin, paired
from seqplat_resources.online_store.redis.records.views import PinnedEpoch
from seqplat_resources.online_store.redis.wire.pipeline import Command

# Stored bytes fetched at first of one user and event type where nobody said how many rows are wanted, and then four
# times as many each time: a reader that stops early has fetched at most four times what it needed.
FIRST_BYTES = 1 << 18
# How often a user may be rolled up while a snapshot reads; once is rare.
_ATTEMPTS = 8

# An event type and a user.
Whose = tuple[str, str]


@dataclass(eq=False)
class _BlockQuery:
    """One call of ``blocks``: what is left to fetch, and what was fetched and not given out yet."""

    whose: Whose
    since: int
    until: int
    columns: Sequence[str] | None
    budget: int = FIRST_BYTES
    left: list[Choice] | None = None
    ready: list[HistoryBlock] = field(default_factory=list)
    given: frozenset[int] = frozenset()
    """Days of the blocks that were fetched."""
    missed: set[bytes] = field(default_factory=set)
    """Blocks that the index had and the data did not."""


class RedisSnapshot(StoreSnapshot):
    """See the contract. Blocks are bytes, and outlive the snapshot."""

    def __init__(self, catalog: Catalog, held: Mapping[str, int], ahead: ReadAhead | None) -> None:
        self._catalog, self._held, self._ahead = catalog, held, ahead
        self._deadline: Deadline | None = ahead.deadline if ahead else None
        self._views: dict[str, PinnedEpoch | None] = {}
        self._indexes: dict[Whose, Index] = {}
        self._now: dict[Whose, Mapping[bytes, bytes]] = {}
        # Numbers of now blocks that should be there, by user; none of most.
        self._missing: dict[Whose, Sequence[int]] = {}
        self._lost: set[Whose] = set()
        self._reads: list[_BlockQuery] = []
        # Event types of which something was read since the last look whether their epochs are kept.
        self._unsure: set[str] = set()
        self._pin = self._open()

    def epoch(self, event_type: str) -> Epoch | None:
        view = self._view(event_type)
        return view.epoch if view else None

    def blocks(
        self,
        event_type: str,
        user: str,
        *,
        since_day: str | None = None,
        until_day: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[HistoryBlock]:
        keys.user_bytes(user)
        since, until = keys.between(since_day, until_day)
        if self._view(event_type) is None:
            return iter(())
        read = _BlockQuery((event_type, user), since, until, columns)
        self._reads.append(read)
        return self._given_out(read)

    def now_blocks(self, event_type: str, user: str) -> Sequence[NowBlock]:
        keys.user_bytes(user)
        type_name(event_type)
        self._fetch_users([(event_type, user)])
        if self._unsure and self._ahead is None:
            self.end()
        one = (event_type, user)
        found = now.visible(self._now[one], self._pin, self._first_now(event_type))
        lost = [NowBlock(number, b"") for number in self._missing[one]]  # damaged, as all can see
        return sorted([*found, *lost], key=lambda block: block.sequence) if lost else found

    def schema(self, schema_id: int) -> BlockSchema | None:
        return self._catalog.schema(schema_id, deadline=self._deadline)

    def newest_now_day(self, event_type: str) -> str | None:
        return self._pin.newest_now_day(event_type)

    def stream_positions(self, topic: str | None = None) -> Mapping[str, StreamPosition]:
        return self._pin.positions(topic)

    def end(self) -> None:
        """
        Raises:
            EpochGoneError: something was read that may not have been whole.
        """
        if self._unsure:
            self._look(self._run([self._pinned()])[0])

    def _open(self) -> Pin:
        """The pin, and with it what was announced of users."""
        ahead, names = self._ahead, self._catalog.names
        if ahead is None:
            return self._catalog.pin()
        whose = [(event_type, user) for event_type in ahead.event_types for user in ahead.users]
        commands = [("HGETALL", names.pin), *self._users(whose)]
        if self._catalog.link.is_cluster:
            pin, *answers = self._run(commands)
            self._pin = Pin.of(pin)
            self._take_users(whose, answers)
        else:
            pin, *answers, look = self._run([*commands, self._pinned(whose)])
            self._pin = Pin.of(pin)
            self._take_users(whose, answers)
            self._look(look)
        return self._pin

    def _view(self, event_type: str) -> PinnedEpoch | None:
        if event_type not in self._views:
            number, head = self._held.get(event_type), self._pin.head(event_type)
            if number is not None and (head is None or number not in head.kept):
                raise EpochGoneError(event_type, number, kept=head.kept if head else ())
            if number is not None and head is not None and number != head.number:
                self._views[event_type] = self._catalog.view(event_type, number, deadline=self._deadline)
            else:
                self._views |= self._current([event_type, *(self._ahead.event_types if self._ahead else ())])
        return self._views[event_type]

    def _current(self, event_types: list[str]) -> dict[str, PinnedEpoch | None]:
        """The first one's view, and those of others that are not held and not known yet."""
        wanted = event_types[:1] + [name for name in event_types[1:] if name not in {*self._held, *self._views}]
        heads = {name: self._pin.head(name) for name in wanted}
        there = {name: head for name, head in heads.items() if head}
        return {**dict.fromkeys(heads), **self._catalog.views(there, deadline=self._deadline)}

    def _given_out(self, read: _BlockQuery) -> Iterator[HistoryBlock]:
        while True:
            if not read.ready and (read.left is None or read.left):
                self._fetch(read)
            if not read.ready:
                return
            yield read.ready.pop(0)

    def _fetch(self, wanted: _BlockQuery) -> None:
        """The next blocks of this read, and the first ones of every other that has none yet."""
        reads = [wanted, *(read for read in self._reads if read.left is None and read is not wanted)]
        self._reads = [read for read in self._reads if read not in reads]
        for _ in range(_ATTEMPTS):
            self._fetch_users([read.whose for read in reads])
            reads = self._fetch_blocks(reads)
            if not reads:
                return
        raise self._gone(reads[0].whose[0])

    def _fetch_blocks(self, reads: Sequence[_BlockQuery]) -> list[_BlockQuery]:
        """Returns those of which a block was not there any more: their user was rolled up since the index was read, and
        is looked at again. Where it was deleted because the epoch is not kept, that look says so. What an index still
        has then, though its data was missing before, is lost: names are never used twice.
        """
        commands, plan = list[Command](), list[tuple[_BlockQuery, Choice, list[bytes]]]()
        for read in reads:
            if read.left is None:
                read.left = self._choices(read)
            for choice in self._next(read):
                schema = self.schema(choice.schema_id) if choice.sections else None
                fields = entries.fields_of(choice, schema, read.columns)
                if fields:
                    key = self._catalog.names.data(read.whose[0], read.whose[1].encode())
                    commands.append(("HMGET", key, *fields))
                plan.append((read, choice, fields))
        if self._unsure:
            commands.append(self._pinned())
        answers = self._run(commands) if commands else []
        if self._unsure:
            self._look(answers.pop())
        moved, found = list[_BlockQuery](), iter(answers)
        for read, choice, fields in plan:
            values = next(found) if fields else ()
            if None in values and choice.name not in read.missed:
                read.missed.add(choice.name)
                if read not in moved:
                    moved.append(read)
                    read.left = None
                    self._indexes.pop(read.whose, None)
            if read in moved:
                continue
            block = b"" if None in values else entries.block_of(choice, fields, values)
            days = (keys.iso(choice.day), keys.iso(choice.first_day))
            read.ready.append(HistoryBlock(days[0], block, days[1], choice.superseded))
            read.given |= choice.days
        return moved

    def _choices(self, read: _BlockQuery) -> list[Choice]:
        view = self._view(read.whose[0])
        shown, is_lost = view.shown if view else {}, read.whose in self._lost
        found = entries.chosen(self._indexes[read.whose], shown, read.given, is_lost=is_lost)
        return [choice for choice in found if choice.first_day <= read.until and choice.day >= read.since]

    def _next(self, read: _BlockQuery) -> list[Choice]:
        """Take off what is left the blocks to fetch now: at least one, so that reading ends.

        Where it was said how many rows are wanted, one block more than holds them: readers look whether there is one.
        """
        wanted, size, count = self._ahead.rows if self._ahead else None, 0, 0
        left = read.left or []
        for choice in left:
            enough = size >= read.budget if wanted is None else wanted <= 0
            count, size = count + 1, size + choice.size_bytes
            if enough:
                break
            wanted = None if wanted is None else wanted - choice.rows
        read.left, read.budget = left[count:], 4 * read.budget
        return left[:count]

    def _fetch_users(self, whose: Sequence[Whose]) -> None:
        """Census, indexes and now blocks, as far as they are not there."""
        missing = [one for one in dict.fromkeys(whose) if one not in self._indexes]
        if not missing:
            return
        for event_type, _ in missing:
            self._view(event_type)
        if self._catalog.link.is_cluster:
            self._take_users(missing, self._run(self._users(missing)))
            return
        *answers, pin = self._run([*self._users(missing), self._pinned(missing)])
        self._take_users(missing, answers)
        self._look(pin)

    def _users(self, whose: Sequence[Whose]) -> list[Command]:
        names, commands = self._catalog.names, list[Command]()
        for event_type, user in whose:
            key = keys.user_bytes(user)
            commands.append((*census.asked(self._catalog, event_type, key), *arrivals.asked(key)))
            commands += [("HGETALL", names.index(event_type, key)), ("HGETALL", names.now(event_type, key))]
        return commands

    def _take_users(self, whose: Sequence[Whose], answers: Sequence[Sequence[bytes]]) -> None:
        doubtful, _ = self._taken(whose, answers)
        if doubtful:
            # On a cluster the census may be younger than the rest, and users may leave both: once more, in this order.
            commands = self._users(doubtful)
            known, rest = self._run(commands[::3]), self._run([one for n, one in enumerate(commands) if n % 3])
            again = [answer for n, found in enumerate(known) for answer in (found, *rest[2 * n : 2 * n + 2])]
            self._lost |= set(self._taken(doubtful, again)[1])

    def _taken(self, whose: Sequence[Whose], answers: Sequence[Sequence[bytes]]) -> tuple[list[Whose], list[Whose]]:
        """Take over what there is of users: those of whom that is not all, and of these whose index is not."""
        doubtful, without_index = list[Whose](), list[Whose]()
        for one, known, index, blocks in zip(whose, answers[::3], answers[1::3], answers[2::3], strict=True):
            fields = self._indexes[one] = paired(index)
            has_census = self._pin.has_census(one[0])
            if is_lost := census.is_lost(known[:2], fields.pop(entries.BIRTH, None), is_made=has_census):
                without_index.append(one)
            if one not in self._now or self._missing[one]:  # what was seen once, and whole, does not change
                found = self._now[one] = paired(blocks)
                self._missing[one] = arrivals.missing(known[2:], found, self._pin, one[0], self._first_now(one[0]))
            if is_lost or self._missing[one]:
                doubtful.append(one)
            self._unsure.add(one[0])
        return doubtful, without_index

    def _first_now(self, event_type: str) -> int:
        """What is noted is of the current epoch: one that is held instead may cover less."""
        return 0 if event_type in self._held else self._pin.now_from(event_type)

    def _pinned(self, whose: Sequence[Whose] = ()) -> Command:
        """The heads of what is unsure, and of these."""
        self._looked_at = sorted({*self._unsure, *(event_type for event_type, _ in whose)})
        return ("HMGET", self._catalog.names.pin, *(b"h" + type_name(name) for name in self._looked_at))

    def _look(self, found: Sequence[bytes | None]) -> None:
        for event_type, text in zip(self._looked_at, found, strict=True):
            head, view = EpochHead.parse(text) if text else None, self._view(event_type)
            # Where nothing was published, nothing was evicted as long as nothing is.
            if (head is not None) if view is None else (head is None or not head.keeps(view.epoch)):
                raise self._gone(event_type)
            self._unsure.discard(event_type)

    def _gone(self, event_type: str) -> EpochGoneError:
        view, kept = self._view(event_type), self._catalog.kept(event_type, deadline=self._deadline)
        return EpochGoneError(event_type, view.epoch.epoch if view else 0, kept=kept)

    def _run(self, commands: Sequence[Command]) -> list[Sequence[bytes]]:
        return self._catalog.link.run(commands, deadline=self._deadline, repeatable=True)
