"""A snapshot in which legacy's events stand where ours would: what the store has under other names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from seqplat_resources.online_store import Epoch, HistoryBlock, NowBlock, ReadAhead, StoreSnapshot, StreamPosition
from seqplat_resources.online_store.codec import BlockSchema


@dataclass(frozen=True)
class ArmSnapshot:
    """``view`` with some event types read from where ``stored_as`` says."""

    view: StoreSnapshot
    stored_as: Mapping[str, str]

    def epoch(self, event_type: str) -> Epoch | None:
        return self.view.epoch(self._name(event_type))

    def blocks(
        self,
        event_type: str,
        user: str,
        *,
        since_day: str | None = None,
        until_day: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[HistoryBlock]:
        name = self._name(event_type)
        return self.view.blocks(name, user, since_day=since_day, until_day=until_day, columns=columns)

    def now_blocks(self, event_type: str, user: str) -> Sequence[NowBlock]:
        return self.view.now_blocks(self._name(event_type), user)

    def schema(self, schema_id: int) -> BlockSchema | None:
        return self.view.schema(schema_id)

    def newest_now_day(self, event_type: str) -> str | None:
        return self.view.newest_now_day(self._name(event_type))

    def stream_positions(self, topic: str | None = None) -> Mapping[str, StreamPosition]:
        return self.view.stream_positions(topic)

    def _name(self, event_type: str) -> str:
        return self.stored_as.get(event_type, event_type)


def in_arms(view: StoreSnapshot, stored_as: Mapping[str, str]) -> StoreSnapshot:
    """The view itself where nothing has another name."""
    return ArmSnapshot(view, stored_as) if stored_as else view


def ahead_in_arms(ahead: ReadAhead, stored_as: Mapping[str, str]) -> ReadAhead:
    """What the store itself will be asked for."""
    return replace(ahead, event_types=[stored_as.get(name, name) for name in ahead.event_types]) if stored_as else ahead
