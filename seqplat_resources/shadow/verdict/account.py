"""A verdict in words: the first line, and tables that the command line and Dagster print alike.

>>> percent(0.00012345), percent(1.0)
('0.0123 %', '100 %')
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seqplat_resources.shadow.verdict.bands import above_noise, is_noise
from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.decide import Judged
from seqplat_resources.shadow.verdict.detectable import smallest_caught
from seqplat_resources.shadow.verdict.record import VerdictRecord

# What a reader of a page looks at; the record has all.
_ROWS = 10
_WORST_FIRST = {"FAIL": 0, "HOLD": 1, "PASS": 2}


@dataclass(frozen=True)
class AccountTable:
    """Rows under headers, as texts; ``right`` names the columns of numbers."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()


def headline(record: VerdictRecord) -> str:
    """The verdict in one line, and what it waits for."""
    decision, window = record.decision, record.case.window
    said = f"{decision.state} {record.event_type}, {window.first} to {window.last}"
    if decision.state != "HOLD":
        return f"{said}: {decision.because[0]}"
    waits = [
        f"about {decision.more_users:,} more users" if decision.more_users else "",
        f"{decision.more_days} more day(s) at this pace" if decision.more_days else "",
    ]
    return f"{said}: " + ("needs " + ", ".join(filter(None, waits)) if any(waits) else decision.because[0])


def tables(record: VerdictRecord) -> list[AccountTable]:
    """What a verdict says, most important first; a table without rows is left out."""
    found = [
        _because(record),
        _metrics(record),
        _accepted(record),
        _floors(record),
        _causes(record),
        _cohorts(record.cohorts),
        _examples(record),
    ]
    return [table for table in found if table.rows]


def markdown(record: VerdictRecord) -> str:
    """The same for a page that renders Markdown."""
    return "\n\n".join([f"**{_cell(headline(record))}**", *map(table_markdown, tables(record))])


def table_markdown(table: AccountTable) -> str:
    """One table; nothing in its cells is markup."""
    marks = ["---:" if header in table.right else "---" for header in table.headers]
    lines = [table.headers, marks, *([_cell(text) for text in row] for row in table.rows)]
    return "\n".join([f"**{_cell(table.title)}**", "", *("| " + " | ".join(line) + " |" for line in lines)])


def _because(record: VerdictRecord) -> AccountTable:
    rows = tuple((text,) for text in record.decision.because[:_ROWS])
    more = len(record.decision.because) - _ROWS
    return AccountTable("why", ("because",), (*rows, (f"and {more} more",)) if more > 0 else rows)


def _metrics(record: VerdictRecord) -> AccountTable:
    alpha = record.case.alpha / max(1, len(record.case.metrics))
    judged = sorted(record.decision.judged, key=lambda each: (_WORST_FIRST[each.state], each.metric.name))
    headers = ("metric", "state", "differing", "compared", "worth", "value", "at least", "at most", "limit", "catches")
    rows = tuple(_metric(each, alpha) for each in judged)
    title = "metrics (worth: independent trials; catches: the smallest defect that would have failed, with 95 %)"
    return AccountTable(title, headers, rows, headers[2:])


def _metric(each: Judged, alpha: float) -> tuple[str, ...]:
    metric, caught = each.metric, smallest_caught(each.metric, each.limit, alpha=alpha)
    return (
        metric.name,
        each.state + (" (accepted)" if each.accepted else ""),
        f"{metric.differing:,.5g}" if metric.squares is not None else f"{metric.differing:,.0f}",
        f"{metric.compared:,.0f}",
        f"{metric.trials:,.0f}",
        "-" if metric.value is None else percent(metric.value),
        percent(each.bounds.lower),
        percent(each.bounds.upper),
        percent(each.limit),
        "-" if caught is None else percent(caught),
    )


def _accepted(record: VerdictRecord) -> AccountTable:
    today = record.case.decided_on
    rows = tuple(
        (
            each.metric,
            percent(each.at_most),
            f"{each.until}" + ("" if each.holds_on(today) else " (ended)"),
            each.owner,
            each.reason,
        )
        for each in record.case.accepted
    )
    return AccountTable("accepted differences", ("metric", "at most", "until", "owner", "reason"), rows, ("at most",))


def _floors(record: VerdictRecord) -> AccountTable:
    """What legacy's own noise makes of bands; metrics that no replay differs in are left out."""
    rows = tuple(
        (
            metric.name,
            percent(floor),
            percent(metric.limit),
            percent(limit) if is_noise(metric.limit, floor) else f"{percent(limit)} (no noise: too wide)",
        )
        for metric in record.case.metrics
        if (floor := record.case.floors.get(metric.name)) and (limit := above_noise(metric.limit, floor))
    )
    headers = ("metric", "floor", "band by default", "band")
    return AccountTable(f"noise {record.case.measured or 'floor'}", headers, rows, headers[1:])


def _causes(record: VerdictRecord) -> AccountTable:
    total = record.differences
    rows = [
        (cause, f"{count:,}", percent(count / total))
        for cause, count in sorted(record.causes.items(), key=lambda item: (-item[1], item[0]))
        if count
    ]
    if total:
        rows.append(("total", f"{total:,}", percent(1.0)))
    return AccountTable(
        "causes of differences", ("cause", "differences", "share"), tuple(rows), ("differences", "share")
    )


def _cohorts(cohorts: Sequence[Cohort]) -> AccountTable:
    headers = ("cohort", "differing", "compared", "value", "all others", "q", "users to look at")
    rows = tuple(
        (
            f"{each.column} = {'null' if each.value is None else each.value}",
            f"{each.differing:,}",
            f"{each.compared:,}",
            percent(each.share),
            percent(each.others),
            f"{each.q:.2g}" if each.q >= 1e-9 else "< 1e-9",
            ", ".join(each.users),
        )
        for each in cohorts[:_ROWS]
    )
    return AccountTable("worst cohorts", headers, rows, headers[1:6])


def _examples(record: VerdictRecord) -> AccountTable:
    rows = tuple((each.user, each.event_id or "-", each.cause, each.says) for each in record.examples[:_ROWS])
    return AccountTable("examples, for `seqplat explain`", ("user", "event", "cause", "what"), rows)


def percent(share: float) -> str:
    """With three digits that say something; never 0 for what is more."""
    return f"{100 * share:.3g} %" if share >= 1e-7 or not share else "< 0.00001 %"


def _cell(text: str) -> str:
    """A text in one cell of a Markdown table; nothing in it is markup."""
    line = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\|`*_<>[]" else sign for sign in line)
