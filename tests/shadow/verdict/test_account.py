"""What a verdict says to people."""

from dataclasses import replace

from seqplat_resources.shadow.verdict.accepted import AcceptedDifference
from seqplat_resources.shadow.verdict.account import headline, markdown, percent, tables
from tests.shadow.verdict.samples import FIRST, TODAY, metric, question, verdict, window


def test_the_first_line_says_what_is_and_what_it_waits_for() -> None:
    week = "purchase, 2026-11-01 to 2026-11-07"
    waiting = question(metric(3))
    short = question(metric(), window=window(5))
    assert headline(verdict()) == f"PASS {week}: all 1 metrics are within their bands, over 7 days"
    assert headline(verdict(question(metric(100)))) == f"FAIL {week}: only_legacy: at least 0.591 %, beyond 0.1 %"
    assert headline(verdict(question())) == f"HOLD {week}: nothing was compared"
    assert headline(verdict(waiting)) == f"HOLD {week}: needs about 2,657 more users, 2 more day(s) at this pace"
    assert headline(verdict(short)).endswith("2026-11-05: needs 2 more day(s) at this pace")


def test_tables_have_the_worst_first_and_the_causes_in_full() -> None:
    asked = question(metric(0, name="a"), metric(100, name="b"), metric(3, name="c"), metric(0, 0, name="d"))
    found = {table.title.split(" (")[0]: table for table in tables(verdict(asked))}
    assert [row[:2] for row in found["metrics"].rows] == [("b", "FAIL"), ("c", "HOLD"), ("d", "HOLD"), ("a", "PASS")]
    assert found["metrics"].rows[0][2:6] == ("100", "10,000", "10,000", "1 %")
    assert found["metrics"].rows[2][5] == "-"
    assert found["causes of differences"].rows == (
        ("late", "2", "66.7 %"),
        ("unexplained", "1", "33.3 %"),
        ("total", "3", "100 %"),
    )
    assert found["worst cohorts"].rows[0][0] == "client = null"
    assert all(len(row) == len(table.headers) for table in found.values() for row in table.rows)
    assert all(set(table.right) <= set(table.headers) for table in found.values())


def test_what_is_accepted_is_shown_with_who_answers_for_it() -> None:
    level = AcceptedDifference("b", 0.02, FIRST, "ana", "known")
    asked = question(metric(0, name="b"), accepted=(level, replace(level, metric="c", until=TODAY)))
    shown = next(table for table in tables(verdict(asked)) if table.title == "accepted differences")
    assert shown.rows == (
        ("b", "2 %", "2026-11-01 (ended)", "ana", "known"),
        ("c", "2 %", "2026-11-20", "ana", "known"),
    )


def test_markdown_shows_data_as_data() -> None:
    said = markdown(verdict())
    assert "| 8 | - | unexplained | a\\|b |" in said
    assert "| only\\_legacy | PASS | 0 | 10,000 | 10,000 | 0 % | 0 % | 0.0" in said
    bars = {line.count("|") - line.count("\\|") for line in said.splitlines() if line.startswith("| only")}
    assert bars == {11}


def test_what_is_more_than_nothing_is_never_shown_as_nothing() -> None:
    assert [percent(share) for share in (0.0, 1e-12, 0.0001234567, 0.5, 1.0)] == [
        "0 %",
        "< 0.00001 %",
        "0.0123 %",
        "50 %",
        "100 %",
    ]
