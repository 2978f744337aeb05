"""Any changes in any order, with messages, builds, compactions and ways back in between, against a plain oracle.

Whatever an answer shows is what the definitions that it follows would make of the raw rows, or it says that it is not.
"""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.planning.build import made
from seqplat_resources.planning.gate import judge
from seqplat_resources.read.stored import EarlierRows
from seqplat_resources.release.store import ReleaseStore
from sequence_defs import Column, Enrich, Pick
from tests.budget import examples
from tests.evolution.changes import ACTIVITY, SHOP, Definitions, both, change, column, more
from tests.evolution.stored import D1, D2, D3, Stored, purchase
from tests.evolution.test_gate import compiled

Make = Callable[[Definitions], Definitions]
Row = Mapping[str, Any]
# By part of the shop, which of its definitions counts; those that are not named are the first.
State = Mapping[str, int]

SIZE = Enrich(enrichment="size")
REMARK = Column(name="remark", dtype="string")
LINE = Column(name="line", dtype="string", nullable=False, default="none")
KNOWN = {1: ("acme", "m1"), 2: ("best", "m2")}  # what the catalogue says of a product: brand and maker

PARTS: Mapping[str, Sequence[Make]] = {
    "filter": [both(), change("purchase", filter="amount > 2"), change("purchase", filter=None)],
    "rows": [both(), change("purchases", filter="sku = 1"), change("purchases", filter="amount <> 3")],
    "note": [both(), column("purchases", "note", field="remark"), column("purchases", "note", sql="UPPER(line)")],
    "shout": [both(), column("purchase", "shout", sql="LOWER(note)"), column("purchase", "shout", sql="UPPER(line)")],
    "cents": [both(), column("size", "cents", sql="amount * 10")],
    "amount": [both(), both(*(column(of, "amount", dtype="int64") for of in ("purchases", "purchase")))],
    "brand": [
        both(),
        change("product", filter="sku > 1"),
        change("purchase", enrichments=(Enrich(enrichment="product", columns={"brand": "maker"}), SIZE)),
        change("purchase", enrichments=(Enrich(enrichment="product", on={"sku": "gift_sku"}), SIZE)),
    ],
    "columns": [
        both(),
        change(
            "activity",
            columns=tuple(Pick(name=n, columns={"purchase": "shout"}) if n == "note" else n for n in ACTIVITY),
        ),
        both(more("purchases", REMARK), more("purchase", REMARK), change("activity", columns=(*ACTIVITY, "remark"))),
        both(more("purchase", LINE), change("activity", columns=(*ACTIVITY, "line"))),
    ],
}
STEPS = st.one_of(
    st.sampled_from([(name, number) for name, makes in PARTS.items() for number in range(len(makes))]),
    st.sampled_from([("say", 1), ("say", 2), ("say", 3), ("build", 1), ("build", 3), ("compact", 0), ("back", 0)]),
)


def expected(state: State, row: Row) -> dict[str, Any] | None:
    """What the definitions make of a raw row; None where it is no event."""
    kept = [row["amount"] > 0, row["amount"] > 2, True][state.get("filter", 0)]
    if not (kept and [True, row["sku"] == 1, row["amount"] != 3][state.get("rows", 0)]):
        return None
    note = [row["note"], row["remark"], row["line"].upper()][state.get("note", 0)]
    shout = [note.upper(), note.lower(), row["line"].upper()][state.get("shout", 0)]
    brand = KNOWN[row["gift_sku" if state.get("brand") == 3 else "sku"]][state.get("brand") == 2]
    found = {
        "amount": row["amount"],
        "sku": row["sku"],
        "note": shout if state.get("columns") == 1 else note,
        "shout": shout,
        "brand": None if state.get("brand") == 1 and row["sku"] == 1 else brand,
        "cents": row["amount"] * (10 if state.get("cents") else 100),
    }
    more = {2: "remark", 3: "line"}.get(state.get("columns", 0))
    return {**found, more: row[more]} if more else found


class Walk:
    """One installation on its way, and what was said to it."""

    def __init__(self, folder: Path, store: LmdbStore) -> None:
        self.shop, self.state, self.past = Stored(folder, store), dict[str, int](), list[dict[str, int]]()
        of_files = {D1: (1, 2), D2: (3, 4), D3: (8,)}
        self.files = [purchase(number, day) for day, numbers in of_files.items() for number in numbers]
        self.said, self.built = [purchase(5, D3)], {D1, D2}

    def take(self, step: tuple[str, int]) -> None:
        name, number = step
        if name == "say":
            self.said.append(purchase(10 + len(self.said), (D1, D2, D3)[number - 1]))
            self.shop.say(self.said[-1])
            self.shop.stream()
        elif name == "build":
            days = (D1, D2, D3)[:number]
            self.shop.build(*days)
            self.built |= {*days}
        elif name == "compact":
            self.shop.compact()
        elif name == "back":
            self.follow(self.past.pop() if self.past else {})
        else:
            self.change({**self.state, name: number})

    def change(self, state: dict[str, int]) -> None:
        """The gate says at least what answers say: nothing becomes stale by what it calls compatible."""
        before = self.told()
        definitions = definitions_of(state)
        found = judge(ReleaseStore(self.shop.runtime.home), "dev", compiled(definitions))
        assert found.kind == "breaking" or not found.refused
        self.past.append(self.state)
        self.follow(state)
        stale = {each for each in self.told() if each.is_stale and each.since}
        if stale - set(before):
            assert found.kind not in ("none", "compatible")
            assert found.stale["purchase"]

    def follow(self, state: dict[str, int]) -> None:
        self.state = state
        self.shop.follow(definitions_of(state))

    def told(self) -> tuple[EarlierRows, ...]:
        return self.shop.answer().freshness.definitions.get("purchase", ())

    def look(self) -> None:
        """Nothing that is shown, or is not, is otherwise without a word."""
        found = self.shop.answer()
        told = found.freshness.definitions.get("purchase", ())
        shown = {
            row["event_id"]: row
            for row in found.events.filter(pl.col("event_type") == "purchase").iter_rows(named=True)
        }
        for row in (*self.files, *self.said):
            event, day = shown.get(row["order_id"]), row["at"][:10]
            about = [each for each in told if each.since is None or each.since <= day <= (each.through or "")]
            if any(each.rows for each in about) or (row in self.files and dt.date.fromisoformat(day) not in self.built):
                continue
            wanted = expected(self.state, row)
            assert (event is None) == (wanted is None), (row["order_id"], event, told)
            for name, value in (wanted or {}).items():
                given = event[name] if event else None
                is_told = any(name in each.columns for each in about)
                is_absent = given == (LINE.default if name == "line" else None) and (
                    any(name in each.missing for each in about)
                    or any(f"column {name} is stored as" in said for said in found.freshness.degraded)
                )
                assert given == value or is_told or is_absent, (row["order_id"], name, given, value, about)


def definitions_of(state: State) -> Definitions:
    return both(*(makes[state.get(name, 0)] for name, makes in PARTS.items()))(SHOP)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("walks")
    with closing(opened(folder)) as store:
        Stored(folder, store).fill()
    return folder


def opened(folder: Path) -> LmdbStore:
    return LmdbStore(folder / "online", first_map_bytes=1 << 20, sync=False)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(number) for number in range(10_000))


@settings(max_examples=examples(5))
@given(steps=st.lists(STEPS, min_size=2, max_size=4))
def test_no_way_through_changes_mixes_meanings_without_a_word(
    base: Path, folders: Iterator[Path], steps: list[tuple[str, int]]
) -> None:
    folder = next(folders)
    shutil.copytree(base, folder)
    with closing(opened(folder)) as store:
        walk = Walk(folder, store)
        for step in steps:
            walk.take(step)
            walk.look()
        walk.take(("build", 3))
        walk.look()
        archived = {row["at"][:10] for row in walk.said}
        assert {each.since for each in walk.told()} <= archived  # only what nobody can decode again
        assert walk.shop.stale() == set()
        assert made(walk.shop.runtime, walk.shop.runtime.loaded).work == ()
    shutil.rmtree(folder)
