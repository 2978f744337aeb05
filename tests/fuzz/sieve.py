"""Put messages through the stream loop, and see that each is one raw row or one reject, and good ones are unharmed."""

import random
import resource
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.stream.loop import Pace, StreamLoop
from tests.fuzz.rubbish import Message, messages
from tests.stream.world import TOPIC, Shop

PACE = Pace(rows=2000, poll_s=0.0, keep_rows=1 << 40, keep_s=1e9, heartbeat_s=1e9)
# What a reject holds of a message that is no JSON; of others, the fields that were read.
_AS_SENT = ("not JSON", "no value", "not a JSON object")


@dataclass
class Sieve:
    """A shop whose log is fed with rubbish. ``fates`` counts by kind: kept, refused."""

    folder: Path
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    _ends: list[int] = field(default_factory=lambda: [0, 0])
    _read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.shop = Shop(self.folder, LmdbStore(self.folder / "online", sync=False))
        self.source = self.shop.runtime.release.sources["clicks"]

    def round(self, count: int, draw: random.Random) -> None:
        """Append, stream, keep, and judge so many messages.

        Raises:
            AssertionError: a message has no fate or two, or a wrong one.
        """
        sent: dict[tuple[str, int], Message] = {}
        with closing(self.shop.writer()) as writer:
            for message in messages(count, draw):
                number = draw.randrange(2)
                sent[f"{TOPIC}:{number}", self._ends[number]] = message
                self._ends[number] += 1
            for number in (0, 1):
                values = [(None, m.value) for (name, _), m in sent.items() if name == f"{TOPIC}:{number}"]
                writer.append(TOPIC, values, partition=number)
            writer.flush()
        loop = self.shop.loop(pace=PACE)
        with closing(loop.log):
            self._drain(loop)
        self._judge(sent)

    def _drain(self, loop: StreamLoop) -> None:
        wanted = {f"{TOPIC}:{number}": end for number, end in enumerate(self._ends) if end}
        for _ in range(10_000):
            loop.once()
            if self.shop.streamed() == wanted:
                loop.close()
                return
        raise AssertionError(f"the loop stands at {self.shop.streamed()} of {wanted}")

    def _judge(self, sent: dict[tuple[str, int], Message]) -> None:
        refused = self._new(tables.rejects(self.shop.runtime, "clicks"), "source_partition", "offset")
        kept = self._new(tables.archive(self.shop.runtime, self.source), "_partition", "_offset")
        judge([(row["p"], row["o"], row) for row in kept], [(row["p"], row["o"], row) for row in refused], sent)
        for row in kept:
            self.fates[sent[row["p"], row["o"]].kind, "kept"] += 1
        for row in refused:
            self.fates[sent[row["p"], row["o"]].kind, "refused"] += 1
            self.reasons[row["reason"].split(":")[0][:40]] += 1

    def _new(self, table: LakeTable, partition: str, offset: str) -> list[dict[str, Any]]:
        """Rows of the files that were not there before: reading all of them again would be what memory is used for."""
        paths = [path for path in table.files()["path"] if path not in self._read]
        self._read.update(paths)
        return table.read(paths).rename({partition: "p", offset: "o"}).to_dicts() if paths else []


Placed = tuple[str, int, dict[str, Any]]


def judge(kept: Sequence[Placed], refused: Sequence[Placed], sent: dict[tuple[str, int], Message]) -> None:
    """Every message one fate, the right one."""
    fates = Counter([(p, o) for p, o, _ in kept] + [(p, o) for p, o, _ in refused])
    assert fates.keys() == sent.keys(), sorted(fates.keys() ^ sent.keys())[:5]
    assert set(fates.values()) == {1}, fates.most_common(3)
    for partition, offset, row in kept:
        message = sent[partition, offset]
        assert message.expected is not None, message
        found = {name: row[name] for name in message.expected if name not in ("at", "received")}
        assert found == {name: message.expected[name] for name in found}, (message, row)
        if "at" in message.expected:
            assert row["at"].strftime("%Y-%m-%dT%H:%M:%S.%f") == message.expected["at"], (message, row)
    for partition, offset, row in refused:
        message = sent[partition, offset]
        assert not message.expected, (message, row)
        assert row["reason"], message
        assert row["payload"] is not None, message
        if row["reason"].startswith(_AS_SENT):
            assert row["payload"] == (message.value or b""), (message, row)


def memory_mb() -> float:
    """The most this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
