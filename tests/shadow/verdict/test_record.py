"""A verdict is kept as it was, can be decided again, and knows when it is not about what there is."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordConflict, RecordLog
from seqplat_resources.shadow.verdict.accepted import AcceptedDifference
from seqplat_resources.shadow.verdict.decide import Obstacle
from seqplat_resources.shadow.verdict.record import (
    LedgerIncomplete,
    RecordUnreadable,
    VerdictLog,
    dump,
    load,
    recheck,
)
from sequence_defs.compiler.release import canonical
from tests.shadow.verdict.samples import metric, question, verdict, window

TABLES = {"raw/old_purchases": 7, "events/purchase": 12, "events/other": 1}
FULL = question(
    metric(3, 20_000, design_effect=1.75, name="a"),
    metric(0.125, 900, squares=0.0625, level="sequence", limit=0.005, name="jaccard"),
    obstacles=(Obstacle("rejected_rows", 1, 10_000, "no time: ünïcode"),),
    accepted=(AcceptedDifference("a", 0.01, dt.date(2026, 12, 31), "ana", "known", "bo", dt.datetime.now(dt.UTC)),),
    floors={"a": 0.0001},
    promised=("a", "jaccard"),
    window=window(8, without=(2,)),
)


def test_a_record_survives_its_document_and_is_equal_for_equal_verdicts() -> None:
    record = verdict(FULL)
    assert load(dump(record)) == record
    assert dump(load(dump(record, "key")), "key") == dump(record, "key")
    assert recheck(dump(record), TABLES).holds


@pytest.mark.parametrize(
    ("asked", "code"),
    [(question(metric()), 0), (question(metric(100)), 1), (question(metric(3)), 2), (question(), 2)],
)
def test_the_state_is_an_exit_code_and_no_data_is_none_that_is_green(asked: Any, code: int) -> None:
    assert recheck(dump(verdict(asked)), TABLES).exit_code == code


@pytest.mark.parametrize(
    ("tables", "stale", "code"),
    [
        (TABLES | {"events/purchase": 13}, ("events/purchase is version 13, judged was 12",), 2),
        (TABLES | {"events/purchase": 11}, ("events/purchase is version 11, judged was 12",), 2),
        ({"events/purchase": 12}, ("raw/old_purchases is gone",), 2),
    ],
)
def test_a_pass_over_other_versions_is_stale_and_not_green(
    tables: dict[str, int], stale: tuple[str, ...], code: int
) -> None:
    found = recheck(dump(verdict()), tables)
    assert (found.state, found.holds, found.stale, found.exit_code) == ("PASS", True, stale, code)
    assert recheck(dump(verdict(question(metric(100)))), tables).exit_code == 1


def changed(document: bytes, *path: Any, to: Any, digest: bool = False) -> bytes:
    found = json.loads(document)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    assert inner[path[-1]] != to
    inner[path[-1]] = to
    if digest:  # by somebody who knows how
        found["digest"] = json.loads(dump(load(canonical(found))))["digest"]
    return canonical(found)


def test_whoever_changes_a_record_is_found() -> None:
    failing = dump(verdict(question(metric(100))), "key")
    greener = changed(failing, "verdict", "decision", "state", to="PASS")
    assert recheck(greener, TABLES).found == (
        "the record was changed after it was written: its digest is of something else",
        "it says PASS, and its counts say FAIL",
    )
    fewer = changed(failing, "verdict", "case", "metrics", 0, "differing", to=0.0)
    assert "its digest" in recheck(fewer, TABLES).found[0]
    forged = changed(greener, "verdict", "case", "metrics", 0, "differing", to=0.0, digest=True)
    assert recheck(forged, TABLES).holds
    assert recheck(forged, TABLES, "key").found == ("its signature is not of this installation's SEQPLAT_SIGNING_KEY",)
    assert recheck(forged, TABLES, "key").exit_code == 1
    assert recheck(failing, TABLES, "key").holds
    assert not recheck(failing, TABLES, "other key").holds
    assert not recheck(dump(verdict()), TABLES, "key").holds  # never signed


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "no verdict record"),
        (b"\xff", "no verdict record"),
        (b"[]", "it has no `verdict`"),
        (b'{"verdict": 7}', "it has no `verdict`"),
        (b'{"verdict": {}}', "format 1"),
        (changed(dump(verdict()), "verdict", "format", to=2), "format 1"),
        (changed(dump(verdict()), "verdict", "case", "metrics", 0, "differing", to="many"), "Expected `float`"),
    ],
)
def test_what_is_no_record_is_said_to_be_none(document: bytes, said: str) -> None:
    with pytest.raises(RecordUnreadable, match=said):
        recheck(document, TABLES)


def test_causes_sum_up_to_the_differences() -> None:
    with pytest.raises(LedgerIncomplete, match="sum up to 3, and 4 events differ"):
        replace(verdict(), differences=4)
    with pytest.raises(LedgerIncomplete):
        replace(verdict(), causes={"late": 4, "rounding": -1})
    with pytest.raises(LedgerIncomplete):
        load(changed(dump(verdict()), "verdict", "causes", "late", to=1))


def test_all_verdicts_are_kept_and_signed_by_the_installation(tmp_path: Path) -> None:
    log = VerdictLog(Home(str(tmp_path), {"SEQPLAT_SIGNING_KEY": "key"}), "purchase")
    assert log.latest() is None
    assert [log.append(verdict(question(metric(n)))) for n in (0, 100)] == [1, 2]
    latest = log.latest()
    assert latest is not None
    assert (latest[0], load(latest[1]).decision.state) == (2, "FAIL")
    assert recheck(log.read(1), TABLES, "key").exit_code == 0
    with pytest.raises(FileNotFoundError):
        log.read(3)


def test_a_verdict_that_comes_second_is_kept_after_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, append, late = VerdictLog(Home(str(tmp_path), {}), "purchase"), RecordLog.append, [b"{}", b"{}"]

    def overtaken(self: RecordLog, data: bytes, *, after: int) -> Any:
        if late:
            append(self, late.pop(), after=after)
        return append(self, data, after=after)

    monkeypatch.setattr(RecordLog, "append", overtaken)
    assert log.append(verdict()) == 3
    late += [b"{}"] * 50
    with pytest.raises(RecordConflict):
        log.append(verdict())
