"""The shop of ``changes``, built: rows of some users on two days, in the lake and online."""

import datetime as dt
import json
from contextlib import closing
from pathlib import Path

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.publish import events as published
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from tests.building import ManualClock, days, runtime_for, utc
from tests.evolution.changes import SHOP, START, Definitions

BUILT = days(START, 2)
USERS = ("ann", "bob")


def write_rows(root: Path) -> None:
    """A purchase and a visit of every user and day, and what the catalogue says of two products."""
    for folder in ("purchases", "visits", "else"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for day in BUILT:
        bought = [_purchase(user, day, number) for number, user in enumerate(USERS)]
        seen = [{"at": f"{day}T09:00:00Z", "member": u, "visit_id": f"v-{u}-{day}", "sku": 1} for u in USERS]
        for folder, rows in (("purchases", bought), ("else", bought), ("visits", seen)):
            (root / folder / f"{day}.ndjson").write_text("\n".join(map(json.dumps, rows)))
    known = [
        {"sku": sku, "line": "a", "since": "2024-01-01T00:00:00Z", "brand": f"b{sku}", "maker": "m"} for sku in (1, 2)
    ]
    (root / "catalogue.ndjson").write_text("\n".join(map(json.dumps, known)))


def _purchase(user: str, day: dt.date, number: int) -> dict[str, object]:
    return {
        "at": f"{day}T10:00:00Z",
        "member": user,
        "other_member": USERS[-1 - number],
        "order_id": f"o-{user}-{day}",
        "line": "1",
        "sku": 1 + number,
        "gift_sku": 2,
        "shelf": "s1",
        "amount": 10 + number,
        "note": f"Note of {user}",
        "revision": 0,
        "vector": [0.0, 0.5, 1.0, 1.5],
    }


def built_shop(root: Path, definitions: Definitions = SHOP) -> Runtime:
    """Published to the default channel, built, and shown online."""
    write_rows(root / "files")
    runtime = runtime_for(root / "home", definitions, root / "files", clock=ManualClock(utc(2024, 5, 4)))
    for source in ("purchases", "visits"):
        list(raw.ingest(runtime, source, BUILT))
    list(enrichments.build(runtime, "product", BUILT))
    with closing(open_online_store(runtime.home)) as store:
        for name in ("purchase", "visit"):
            list(events.build(runtime, name, BUILT))
            list(published.publish(runtime, store, name, BUILT))
    return runtime
