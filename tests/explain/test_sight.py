"""Nobody sees personal data without a grant, nor the names of columns that are not theirs; operators see the inside."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.explain import Explanation, explain
from seqplat_resources.explain import recent as recent_events
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.sequence_plan import SequencePlan
from sequence_defs.schema import Column, Sequence
from tests.building import utc
from tests.explain.world import clicked, kept, recent, source, stream, tenant
from tests.stream.world import Shop

# What is personal here, and must never be printed without a grant.
SECRET = "1234567"

personal = source.model_copy(
    update={"columns": tuple(c.model_copy(update={"pii": c.name == "amount"}) for c in source.columns)}
)
amount = Column(name="amount", dtype="int64", pii=True)
filtered = kept.model_copy(
    update={
        "columns": (*kept.columns, amount, Column(name="item", dtype="int64")),
        "filter": f"amount <> {SECRET} AND COALESCE(item, 0) < 10",
    }
)
sequence: Sequence = recent.model_copy(update={"columns": ("item", "amount"), "pii": "granted"})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    definitions = (tenant, personal, filtered, sequence)
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False), definitions=definitions)
    with closing(made.store):
        made.say(
            [clicked(1, 2, amount=int(SECRET)), clicked(2, 2, amount=int(SECRET), at=utc(2030, 1, 1)), clicked(3, 2)]
        )
        stream(made)
        yield made


def seen(shop: Shop, event_id: int, plan: SequencePlan) -> tuple[Explanation, str]:
    """The explanation and all of its text but for the filter, whose text everybody may read in the definitions."""
    found = explain(shop.runtime, shop.store, plan, "ann", str(event_id))
    return found, repr(found).replace(filtered.filter or "", "")


def plan_of(shop: Shop, **grants: Any) -> SequencePlan:
    return SequencePlan.of(shop.runtime.loaded, "recent", **grants)


def test_a_personal_value_is_hidden_without_a_grant_and_shown_with_one(shop: Shop) -> None:
    found, text = seen(shop, 1, plan_of(shop))
    assert found.verdict.code == "filtered"
    assert "amount = (hidden)" in text
    assert SECRET not in text
    _, text = seen(shop, 1, plan_of(shop, pii=["amount"]))
    assert f"amount = {SECRET}" in text


def test_bytes_that_may_hold_personal_data_are_not_shown(shop: Shop) -> None:
    found, text = seen(shop, 2, plan_of(shop))
    assert found.verdict.code == "rejected"
    assert "more than 24 h after its receipt" in text
    assert SECRET not in text
    assert [step.facts["bytes"] for step in found.steps if step.name == "rejected"] == ["(hidden)"]


def test_a_caller_with_fewer_columns_does_not_learn_the_names_of_others(shop: Shop) -> None:
    found, _ = seen(shop, 1, plan_of(shop).restricted([]))
    assert found.verdict.code == "filtered"
    assert "item" not in repr(found)
    assert "amount" not in repr(found)
    assert "a condition on columns that you may not see" in found.verdict.text
    assert explain(shop.runtime, shop.store, plan_of(shop).restricted([]), "ann", "3").verdict.code == "in_answer"


def test_nobody_hears_that_there_are_columns_they_may_not_see(shop: Shop) -> None:
    granted, masked = seen(shop, 3, plan_of(shop, pii="*"))[0], seen(shop, 3, plan_of(shop))[0]
    assert masked.steps == granted.steps


def test_only_operators_are_told_what_is_wrong_inside(shop: Shop) -> None:
    for file in (shop.folder / "home" / "lake" / "archive" / "clicks").rglob("*.parquet"):
        file.write_bytes(b"damaged")
    found = explain(shop.runtime, shop.store, shop.sequence, "ann", "3")
    assert found.verdict.code == "in_answer"
    assert [each.verdict.code for each in recent_events(shop.runtime, shop.store, shop.sequence, "ann")] == [
        "in_answer"
    ]
    [step] = [step for step in found.steps if step.name == "raw"]
    assert step.said == "not known here, because clicks cannot be read here just now"
    [step] = [
        step
        for step in explain(shop.runtime, shop.store, shop.sequence, "ann", "3", inside=True).steps
        if step.name == "raw"
    ]
    assert "clicks cannot be read here just now" not in step.said
