"""The shop of ``changes.py`` with data: two built days, a third that is streamed, and what there is to do with them."""

import datetime as dt
import json
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqplat_resources.batch.builds import enrichments, events, raw, sequences
from seqplat_resources.batch.days.existing import ranges_of
from seqplat_resources.batch.days.needs import REDEFINED, needs
from seqplat_resources.batch.publish.enrichments import publish as publish_versions
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.batch.upkeep.layouts import compact_table, layouts
from seqplat_resources.engine.registry import digests
from seqplat_resources.enrichment.online import OnlineLookup
from seqplat_resources.lake.compact import LeftBucket
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.read.answer import Answer, answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from tests.building import ManualClock, runtime_for, utc
from tests.evolution.changes import SHOP, Definitions

D1, D2, D3 = (dt.date(2024, 5, day) for day in (1, 2, 3))
QUICK = Pace(rows=50, poll_s=0.0, keep_rows=1, keep_s=0.0, heartbeat_s=1e9)


def purchase(number: int, day: dt.date, **fields: Any) -> dict[str, Any]:
    """A raw row; everybody buys at ten."""
    row = {
        "at": f"{day}T10:{number:02d}:00Z",
        "member": "ann",
        "other_member": "bob",
        "order_id": f"o{number}",
        "line": f"l{number}",
        "sku": number % 2 + 1,
        "gift_sku": 2,
        "shelf": "7",
        "amount": number,
        "note": f"Note {number}",
        "revision": 0,
        "vector": [1.0, 0.0, 0.0, float(number)],
        "remark": "else",
        "number": f"n{number}",
        "buyer": "ann",
    }
    return {**row, **fields}


@dataclass
class Stored:
    """One installation. ``follow`` makes another release that of its channel, as a forced publication does."""

    folder: Path
    store: OnlineStore

    def __post_init__(self) -> None:
        self.clock = ManualClock(utc(2024, 5, 4))
        self.follow(SHOP)

    def follow(self, definitions: Definitions) -> None:
        self.runtime: Runtime = runtime_for(self.folder / "home", definitions, self.folder / "files", clock=self.clock)

    def fill(self) -> None:
        """Files of two days, both built and published; purchases of the third are streamed."""
        files = self.folder / "files"
        for day, numbers in ((D1, (1, 2)), (D2, (3, 4)), (D3, (8,))):
            _write(files / f"purchases/{day}.ndjson", [purchase(n, day) for n in numbers])
            visits = [{"at": f"{day}T09:00:00Z", "member": "ann", "visit_id": f"v{day}", "sku": 1}]
            _write(files / f"visits/{day}.ndjson", visits)
        catalogue = [(1, "l1", "acme", "m1"), (2, "l2", "best", "m2")]
        rows = [
            {"sku": s, "line": n, "since": "2024-01-01T00:00:00Z", "brand": b, "maker": m} for s, n, b, m in catalogue
        ]
        _write(files / "catalogue.ndjson", rows)
        shutil.copytree(files / "purchases", files / "else")
        with closing(FileLogWriter(str(self.folder / "log"))) as writer:
            for topic in ("purchases", "returns", "bought"):
                writer.create_topic(topic, 1)
        self.build(D1, D2)
        self.say(purchase(5, D3))
        self.stream()

    def files(self, source: str, day: dt.date, *rows: dict[str, Any]) -> None:
        """The rows of a day, in place of what there was."""
        _write(self.folder / f"files/{source}/{day}.ndjson", list(rows))

    def loaded(self, definitions: Definitions) -> LoadedRelease:
        """A release that is not published."""
        store = ReleaseStore(self.runtime.home)
        return store.get(store.put(lower(Project(definitions, digests()))))

    def build(self, *days: dt.date) -> None:
        """Everything that the release makes of the days."""
        release, runtime = self.runtime.release, self.runtime
        for name in release.sources:
            if name in ("purchases", "visits"):
                list(raw.ingest(runtime, name, days))
        list(enrichments.build(runtime, "product", days))
        list(publish_versions(runtime, self.store, "product", days))
        for name, event_type in release.event_types.items():
            if event_type.source in ("purchases", "visits") and event_type.lifecycle != "retired":
                list(events.build(runtime, name, days))
                list(publish(runtime, self.store, name, days))
        for name in release.sequences:
            list(sequences.build(runtime, name, days))

    def say(self, *rows: dict[str, Any]) -> None:
        with closing(FileLogWriter(str(self.folder / "log"))) as writer:
            writer.append("purchases", [(None, json.dumps(row).encode()) for row in rows], partition=0)
            writer.flush()

    def stream(self) -> None:
        """A process that reads what there is, shows and keeps it."""
        log = FileLogSource(str(self.folder / "log"))
        ownership = Ownership(self.runtime.home, "purchases", self.clock)
        loop = StreamLoop(
            self.runtime,
            "purchases",
            log,
            self.store,
            OnlineLookup(self.runtime, self.store),
            ownership,
            QUICK,
            self.clock,
        )
        with closing(log):
            while loop.once():
                pass
            loop.close()
        for name in loop.event_types:
            fold_crowded(self.store, name, more_than=1)

    def plan(self) -> SequencePlan:
        return SequencePlan.of(self.runtime.loaded, "activity", pii=("*",))

    def answer(self, **query: Any) -> Answer:
        return answer(self.plan(), self.store, "ann", Query(**query), clock=self.clock)

    def stale(self) -> set[tuple[str, str]]:
        """Assets and days that another definition made."""
        assets = [asset for asset in ranges_of(self.runtime) if asset.split("/")[0] in ("raw", "enrichments", "events")]
        found = {(asset, need) for asset in assets for need in needs(self.runtime, asset).values()}
        return {(asset, str(need.day)) for asset, need in found if need.kind == REDEFINED}

    def compact(self) -> None:
        for layout in layouts(self.runtime).values():
            assert not [each for each in compact_table(layout) if isinstance(each, LeftBucket)]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
