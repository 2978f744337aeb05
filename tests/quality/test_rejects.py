"""The verdict on what ingestion refused: which day it counts for, above which share it fails, what is lost."""

import datetime as dt
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.batch.builds import raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.inputs.rejects import keep_rejects
from seqplat_resources.engine.outcome import REJECTS_SCHEMA, WHOLE_FILE
from seqplat_resources.lake.layout import UNDATED
from seqplat_resources.quality.guesses import guess
from seqplat_resources.quality.rejects import guessed, rejects
from seqplat_resources.release.runtime import Runtime
from sequence_defs import Column, EventType, Source, Time
from tests.budget import examples
from tests.building import days, runtime_for

DAYS = days(dt.date(2024, 5, 1), 3)
CLICK = EventType(
    name="click", tenant="shop", source="clicks", id_field="id", columns=(Column(name="id", dtype="string"),)
)


def clicks(location: str = "clicks.ndjson", **changes: Any) -> Source:
    columns = (
        Column(name="user", dtype="string", nullable=False),
        Column(name="id", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp", nullable=False),
        Column(name="n", dtype="int64"),
    )
    said = {"columns": columns, "event_time": Time(sql="at"), "ingest_time": Time(sql="at"), "user_id": "user"}
    return Source(
        name="clicks", tenant="shop", location=location, format="ndjson", start=DAYS[0], **{**said, **changes}
    )


def line(day: dt.date, number: int, **fields: Any) -> str:
    return json.dumps({"user": "u", "id": f"{day}-{number}", "at": f"{day}T10:00:{number % 60:02}Z", **fields})


def built(root: Path, source: Source, of_days: Iterable[dt.date] = DAYS, **files: Iterable[str]) -> Runtime:
    for name, lines in files.items():
        root.mkdir(exist_ok=True)
        (root / f"{name}.ndjson").write_text("\n".join(lines))
    runtime = runtime_for(root / "home", [source, CLICK], root)
    list(raw.ingest(runtime, "clicks", list(of_days)))
    return runtime


def verdict(runtime: Runtime, day: dt.date = DAYS[0]) -> dict[str, Any]:
    return rejects(runtime, "clicks", [day]).row(0, named=True)


def test_a_file_of_which_no_row_has_a_day_leaves_no_day_green(tmp_path: Path) -> None:
    runtime = built(tmp_path, clicks(), clicks=[line(DAYS[0], n, at="soon") for n in range(3)])
    for day in DAYS:
        found = verdict(runtime, day)
        assert (found["passed"], found["empty"], found["undated"], found["undated_share"]) == (False, True, 3, 1.0)
        assert found["detail"].startswith("3 of 3 row(s) of the files have no day; column at: 3")


@pytest.mark.parametrize(("bad", "passed"), [(1, True), (2, False)])
def test_undated_rows_are_judged_as_a_share_of_all_the_file_and_not_of_the_day_that_is_built(
    tmp_path: Path, bad: int, passed: bool
) -> None:
    """One day of ten rows is built of a file of a hundred."""
    rows = [line(day, n) for day in days(DAYS[0], 10) for n in range(10)][bad:] + ["{broken"] * bad
    runtime = built(tmp_path, clicks(), DAYS[:1], clicks=rows)
    found = verdict(runtime)
    assert (found["passed"], found["empty"]) == (passed, False)
    assert found["undated_share"] == bad / 100


@pytest.mark.parametrize(("bound", "passed"), [(0.0, False), (0.24, False), (0.25, True), (1.0, True)])
def test_a_days_own_share_is_held_against_the_bound(tmp_path: Path, bound: float, passed: bool) -> None:
    rows = [line(DAYS[0], n) for n in range(3)] + [line(DAYS[0], 4, n="four"), line(DAYS[1], 1)]
    runtime = built(tmp_path, clicks(max_rejected_share=bound), clicks=rows)
    measured = rejects(runtime, "clicks", DAYS)
    assert measured["passed"].to_list() == [passed, True, True], "each day by itself, and a day without rows is none"
    assert measured["rejected_share"].to_list() == [0.25, 0.0, 0.0]
    assert not measured["empty"].any()


def test_a_day_all_of_whose_rows_were_refused_is_lost_and_others_are_not(tmp_path: Path) -> None:
    runtime = built(tmp_path, clicks(), clicks=[line(DAYS[0], 1, n="one"), *(line(DAYS[1], n) for n in range(200))])
    measured = rejects(runtime, "clicks", DAYS)
    assert measured["passed"].to_list() == [False, True, True]
    assert measured["empty"].to_list() == [True, False, False]


def test_who_accepts_any_share_is_told_of_a_lost_day_and_not_held_up(tmp_path: Path) -> None:
    runtime = built(tmp_path, clicks(max_rejected_share=1), clicks=[line(DAYS[0], 1, n="one")])
    found = verdict(runtime)
    assert (found["passed"], found["empty"]) == (False, False)


def test_a_days_own_file_is_judged_by_itself(tmp_path: Path) -> None:
    source = clicks("{day}.ndjson")
    files = {str(DAYS[0]): ["{broken"], str(DAYS[1]): [line(DAYS[1], 1)], str(DAYS[2]): [line(DAYS[1], 2)]}
    runtime = built(tmp_path, source, **files)
    measured = rejects(runtime, "clicks", DAYS)
    assert measured["passed"].to_list() == [False, True, False], "the last one's row is of another day"
    assert measured["empty"].to_list() == [True, False, True]
    (tmp_path / f"{DAYS[0]}.ndjson").unlink()
    list(raw.ingest(runtime, "clicks", DAYS[:1]))
    assert not verdict(runtime)["passed"], "a file that is taken away is waited for"
    (tmp_path / f"{DAYS[0]}.ndjson").write_text("")
    list(raw.ingest(runtime, "clicks", DAYS[:1]))
    assert (verdict(runtime)["passed"], verdict(runtime)["detail"]) == (True, "")
    assert not verdict(runtime, DAYS[2])["passed"]


def test_a_packed_file_that_was_cut_is_told_as_that(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(line(DAYS[0], n) for n in range(50)).encode())
    runtime = built(tmp_path, clicks("clicks-{day}.ndjson"))
    (tmp_path / f"clicks-{DAYS[0]}.ndjson").write_bytes(packed[: len(packed) // 2])
    list(raw.ingest(runtime, "clicks", DAYS[:1]))
    why = "is not readable ndjson (compressed, and cannot be unpacked: it ends before its end mark): 1; the day got no"
    assert verdict(runtime)["detail"].startswith(f"clicks-{DAYS[0]}.ndjson {why}")


@pytest.mark.parametrize("location", ["clicks*.ndjson", "clicks-{day}.ndjson"])
def test_a_file_refused_whole_is_no_day_without_events(tmp_path: Path, location: str) -> None:
    runtime = built(tmp_path, clicks(location), **{f"clicks-{DAYS[1]}": [line(DAYS[1], n) for n in range(500)]})
    whole = (UNDATED, f"clicks-{DAYS[0]}.ndjson", WHOLE_FILE, b"\x1f\x8b\x08 and more", "not ndjson")
    refused = pl.DataFrame([whole], schema=REJECTS_SCHEMA, orient="row")
    keep_rejects(runtime, "clicks", tables.INGEST_STAGE, [], refused)
    found = verdict(runtime)
    assert (found["passed"], found["empty"], found["files_refused"]) == (False, True, 1)
    assert "looks compressed (gzip)" in found["detail"]
    there = verdict(runtime, DAYS[1])
    assert (there["passed"], there["empty"]) == ("{day}" in location, False), "it may have had rows of any day"


def test_rows_of_a_file_that_was_taken_away_are_forgotten_with_the_next_build(tmp_path: Path) -> None:
    runtime = built(tmp_path, clicks("*.ndjson"), good=[line(DAYS[0], 1)], bad=["{broken"])
    assert not verdict(runtime)["passed"]
    (tmp_path / "bad.ndjson").unlink()
    list(raw.ingest(runtime, "clicks", DAYS))
    assert (verdict(runtime)["passed"], verdict(runtime)["undated"]) == (True, 0)


def test_it_says_the_same_of_a_day_built_alone_or_with_others(tmp_path: Path) -> None:
    rows = ["{broken", *(line(day, n) for day in DAYS for n in range(50)), line(DAYS[2], 51, n="many")]
    together = rejects(built(tmp_path, clicks(), clicks=rows), "clicks", DAYS)
    alone = tmp_path / "alone"
    alone.mkdir()
    runtime = built(alone, clicks(), DAYS[:1], clicks=rows)
    for day in DAYS[1:]:
        list(raw.ingest(runtime, "clicks", [day]))
    assert rejects(runtime, "clicks", DAYS).equals(together)


def sent(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


STARTS = "event_time: 1970-01-21 15:48:12.834000+00:00 is before the start of the source"


@pytest.mark.parametrize(
    ("reason", "payload", "said"),
    [
        (STARTS, sent(user="u", at=1784892834), "looks like seconds"),
        (STARTS, sent(user="u", at=1784892834000), "looks like milliseconds"),
        (STARTS, sent(user="u", at="1784892834000000"), "looks like microseconds"),
        (STARTS, sent(user="u", at=1784892834000000000), "looks like nanoseconds"),
        ("event_time: at gives no time", b"u,17,1784892834000,x", "looks like milliseconds"),
        ("column at: 1784892834000.0 is not timestamp", b"", "looks like milliseconds"),
        ("column born: 1784892834000 is not date", b"", "looks like milliseconds in born: declare it as int64"),
        ("column at: 24/11/2026 10:00 is not timestamp", b"", "looks like day first dates"),
        ("column at: 11/24/2026 is not timestamp", b"", "looks like month first dates"),
        ("column at: 1.2.26 is not timestamp", b"", "looks like day first or month first dates"),
        ("column n: 1.234,50 is not float64", b"", "looks like decimal commas"),
        ("column n: -3,5 is not int64", b"", "looks like decimal commas"),
        ("column n: N/A is not int64", b"", "looks like a word for null: 'N/A'"),
        ("not JSON: 'utf-8' codec can't decode byte 0x8b", b"\x1f\x8b\x08\0\0", "looks compressed (gzip)"),
        ("not JSON: unexpected", b"\x28\xb5\x2f\xfd\x04", "looks compressed (zstd)"),
        (
            "x.csv has no column ['user']; it has ['user;id;at']. Mend the file",
            b"",
            "looks like another delimiter: ';'",
        ),
        ("x.csv has no column ['user']; it has ['user\\tid']. Mend", b"", "looks like another delimiter: a tab"),
        ("column user: null, but it is required", sent(**{"user|id|at": "u|1|x"}), "looks like another delimiter: '|'"),
        ("not JSON: bad", b"caf\xe9", "looks like another encoding than UTF-8"),
        ("not JSON: bad", "u,1".encode("utf-16"), "looks like UTF-16"),
        ("source 'c': c.gz is not readable csv (compressed, and cannot be unpacked: it ends)", b"\x1f\x8b\x08", ""),
        (
            "event_time: 2026-11-22 is more than 24 h after its receipt at 1980-01-01 00:00:00+00:00",
            sent(at="2026-11-22T10:00:00Z"),
            "looks like files whose modification time was lost",
        ),
    ],
)
def test_it_guesses_what_most_refused_rows_look_like(reason: str, payload: bytes, said: str) -> None:
    other = ("column user: null, but it is required", b'{"user": null}')
    assert guess(clicks(), [(reason, payload)] * 3 + [other]).startswith(said)
    is_decisive = said.startswith("looks compressed") or "UTF-16" in said
    assert bool(guess(clicks(), [(reason, payload)] + [other] * 3)) == is_decisive


def test_a_unit_that_is_declared_already_is_no_guess() -> None:
    number = (Column(name="user", dtype="string"), Column(name="at", dtype="int64"))
    refused = [(STARTS, sent(user="u", at=1784892834000))]
    assert "epoch_unit='ms'" in guess(clicks(columns=number, event_time=Time(sql="at", epoch_unit="s")), refused)
    assert guess(clicks(columns=number, event_time=Time(sql="at", epoch_unit="ms")), refused) == ""


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(st.text(), st.binary())), st.sampled_from(["event_time: ", "column at: ", "it has [", ""]))
def test_a_guess_is_text_whatever_was_sent(refused: list[tuple[str, bytes]], start: str) -> None:
    said = guess(clicks(), [(start + reason, payload) for reason, payload in refused])
    assert said == "" or said.startswith("looks ")


def test_what_a_source_refused_is_guessed_from_what_is_kept(tmp_path: Path) -> None:
    source = clicks(columns=(Column(name="user", dtype="string"), Column(name="id", dtype="string"),
                             Column(name="at", dtype="int64")), ingest_time=None,
                    event_time=Time(sql="at", epoch_unit="us"))  # fmt: skip
    rows = [json.dumps({"user": "u", "id": "1", "at": 1714557600000 + n}) for n in range(4)]
    runtime = built(tmp_path, source, clicks=rows)
    assert guessed(runtime, "clicks") == "looks like milliseconds: epoch_unit='ms'"
    assert "looks like milliseconds" in verdict(runtime)["detail"]
    assert guessed(built(tmp_path / "none", clicks(), clicks=[line(DAYS[0], 1)]), "clicks") == ""
