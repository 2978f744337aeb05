"""The small things every part of the store needs: the pin, epochs and schemas, with what never changes kept here."""

import time
from collections.abc import Collection, Mapping

from seqplat_resources.clock import Deadline
from seqplat_resources.online_store.codec import BlockSchema
from seqplat_resources.online_store.errors import (
    EpochGoneError,
    SchemaCollisionError,
    StoreDamagedError,
    StoreUnusableError,
    UnknownSchemaError,
)
from seqplat_resources.online_store.redis.records.damage import reading
from seqplat_resources.online_store.redis.records.names import LAYOUT, Names, type_name
from seqplat_resources.online_store.redis.records.pins import EpochHead, Pin, paired
from seqplat_resources.online_store.redis.records.views import PinnedEpoch
from seqplat_resources.online_store.redis.wire.link import Link


def clock_s() -> int:
    """Where numbers begin of which none is known, so that whoever slept through a loss has older ones."""
    return int(time.time())


class Catalog:
    """Shared by the threads of a store."""

    def __init__(self, link: Link, names: Names) -> None:
        self.link, self.names = link, names
        self._schemas: dict[int, BlockSchema] = {}
        # The current view of each event type: an epoch never changes, and its record is some kilobytes of JSON.
        self._views: dict[str, tuple[EpochHead, PinnedEpoch]] = {}

    def pin(self, *, deadline: Deadline | None = None) -> Pin:
        return Pin.of(self.link.one("HGETALL", self.names.pin, deadline=deadline, repeatable=True))

    def check_layout(self) -> None:
        """
        Raises:
            StoreUnusableError: another version of this code has written here.
        """
        found = self.link.one("HGET", self.names.pin, "v", repeatable=True) or LAYOUT
        if found != LAYOUT:
            raise StoreUnusableError(
                f"the store has layout {found.decode()}, and this code knows {LAYOUT.decode()}",
                where=self.link.where,
                fix="use the code that wrote it, or another prefix, and publish again",
            )

    def views(self, wanted: Mapping[str, EpochHead], *, deadline: Deadline | None = None) -> dict[str, PinnedEpoch]:
        """The current views; those that are not known yet are read in one round trip.

        Raises:
            EpochGoneError: one has become old meanwhile. StoreDamagedError: one was lost.
        """
        found = {name: known[1] for name, head in wanted.items() if (known := self._known(name, head))}
        missing = [name for name in wanted if name not in found]
        if missing:
            asked = [("HGET", self.names.epochs(name), wanted[name].number) for name in missing]
            for name, record in zip(missing, self.link.run(asked, deadline=deadline, repeatable=True), strict=True):
                if record is None:
                    raise self._gone(name, wanted[name].number, deadline)
                found[name] = PinnedEpoch.parse(record)
                if not wanted[name].keeps(found[name].epoch):  # the store was emptied since the pin was read
                    raise EpochGoneError(name, wanted[name].number, kept=self.kept(name, deadline=deadline))
                self._views[name] = (wanted[name], found[name])
        return found

    def view(self, event_type: str, number: int, *, deadline: Deadline | None = None) -> PinnedEpoch:
        """Any kept one.

        Raises:
            EpochGoneError: it is not kept. StoreDamagedError: it was lost.
        """
        record = self.link.one("HGET", self.names.epochs(event_type), number, deadline=deadline, repeatable=True)
        if record is None:
            raise self._gone(event_type, number, deadline)
        return PinnedEpoch.parse(record)

    def kept_views(self, event_type: str) -> list[PinnedEpoch]:
        """Oldest first."""
        records = self.link.one("HGETALL", self.names.epochs(event_type), repeatable=True)
        return sorted(map(PinnedEpoch.parse, paired(records).values()), key=lambda view: view.epoch.epoch)

    def head(self, event_type: str, *, deadline: Deadline | None = None) -> EpochHead | None:
        field = b"h" + type_name(event_type)
        found = self.link.one("HGET", self.names.pin, field, deadline=deadline, repeatable=True)
        return EpochHead.parse(found) if found else None

    def kept(self, event_type: str, *, deadline: Deadline | None = None) -> tuple[int, ...]:
        head = self.head(event_type, deadline=deadline)
        return head.kept if head else ()

    def schema(self, schema_id: int, *, deadline: Deadline | None = None) -> BlockSchema | None:
        if schema_id not in self._schemas:
            found = self.link.one("HGET", self.names.schemas, schema_id, deadline=deadline, repeatable=True)
            if found is None:
                return None
            with reading(f"schema {schema_id:#010x}", found):
                schema = BlockSchema.from_json(found)
                if schema.schema_id != schema_id:
                    raise ValueError("it has another id")
            self._schemas[schema_id] = schema
        return self._schemas[schema_id]

    def register(self, schema: BlockSchema) -> None:
        """
        Raises:
            SchemaCollisionError: other columns have this id.
        """
        text = schema.to_json()
        asked = [
            ("HSETNX", self.names.schemas, schema.schema_id, text),
            ("HGET", self.names.schemas, schema.schema_id),
            ("HSETNX", self.names.pin, "v", LAYOUT),
        ]
        known = self.link.run(asked, repeatable=True)[1].decode()
        if known != text:
            raise SchemaCollisionError(schema.schema_id, known=known, new=text)
        self._schemas[schema.schema_id] = schema

    def require(self, schema_ids: Collection[int], event_type: str) -> None:
        """Have the schemas of blocks that will be written. What this process knows may have left the server with all
        else, so the server is asked, and told again.

        Raises:
            UnknownSchemaError: one was never registered.
        """
        wanted = sorted(schema_ids)
        asked = [("HEXISTS", self.names.schemas, number) for number in wanted]
        for number, is_there in zip(wanted, self.link.run(asked, repeatable=True) if asked else (), strict=True):
            if is_there:
                continue
            if number not in self._schemas:
                raise UnknownSchemaError(number, event_type=event_type)
            self.register(self._schemas[number])

    def _gone(self, event_type: str, number: int, deadline: Deadline | None) -> EpochGoneError | StoreDamagedError:
        kept = self.kept(event_type, deadline=deadline)
        return self.lost(event_type, number) if number in kept else EpochGoneError(event_type, number, kept=kept)

    def lost(self, event_type: str, number: int) -> StoreDamagedError:
        """Of an epoch that is kept, and is not there."""
        return StoreDamagedError(
            f"the server has lost epoch {number} of {event_type}", where=self.link.where, fix="publish its days again"
        )

    def _known(self, event_type: str, head: EpochHead) -> tuple[EpochHead, PinnedEpoch] | None:
        known = self._views.get(event_type)
        same = known and (known[0].number, known[0].nonce) == (head.number, head.nonce)
        return known if same else None
