"""The shop of the stream tests with a filter, a window and a length: where events can be left out in every way."""

import datetime as dt
from contextlib import closing
from typing import Any

from seqplat_resources.explain import Explanation, explain
from sequence_defs.schema import Sequence
from tests.building import utc
from tests.properties.clicks import shop as tenant
from tests.stream.world import DAYS, Shop, event_type, source

# Clicks of this amount are filtered, in stream and batch alike.
FILTERED = 3
LENGTH, WINDOW_DAYS = 2, 2

kept = event_type.model_copy(update={"filter": f"amount <> {FILTERED}"})
big = event_type.model_copy(update={"name": "big", "filter": "amount > 100"})
recent = Sequence(
    name="recent",
    tenant="shop",
    event_types=("click",),
    columns=("value",),
    length=LENGTH,
    window_days=WINDOW_DAYS,
)
DEFINITIONS = (tenant, source, kept, big, recent)


def clicked(number: int, day: int, **more: Any) -> dict[str, Any]:
    """A click at noon and so many seconds, received three days later, as many seconds after midnight."""
    at = dt.datetime.combine(DAYS[day], dt.time(12), dt.UTC) + dt.timedelta(seconds=number)
    received = utc(2024, 5, 4) + dt.timedelta(seconds=number)
    return {"member": "ann", "click": number, "at": at, "received": received, "amount": 1, "partition": 0, **more}


def stream(shop: Shop) -> None:
    """Everything said is visible and kept."""
    loop = shop.loop()
    with closing(loop.log):
        while loop.once():
            pass
        loop.close()


def build(shop: Shop, *, publish: bool = True) -> None:
    """Every day, by batch."""
    shop.build(DAYS)
    if publish:
        shop.publish(DAYS)


def why(shop: Shop, event_id: object, **more: Any) -> Explanation:
    """The explanation of one of ann's events."""
    return explain(shop.runtime, shop.store, shop.sequence, "ann", str(event_id), **more)


def outcomes(found: Explanation) -> dict[str, str]:
    """By step its outcome; the last one of a name."""
    return {step.name: step.outcome for step in found.steps}


def said(found: Explanation, name: str) -> str:
    """All sentences of the steps of one name."""
    return "; ".join(step.said for step in found.steps if step.name == name)
