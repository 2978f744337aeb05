"""A readout in words: a first line, and tables that a product manager reads, on a terminal and in Markdown.

>>> import datetime as dt
>>> from seqplat_resources.shadow.experiment.sample_ratio import SampleRatio
>>> day, at = dt.date(2024, 5, 2), dt.datetime(2024, 5, 3, tzinfo=dt.UTC)
>>> ratio = SampleRatio(ours=12, legacy=9, declared=5_000, p=None, is_red=False, is_enough=False)
>>> found = Readout("purchase", "7f9ad790", day, "ab_50", 3, 3, at, None, 1.0, ratio, 0, 0, 0, 0, (), {}, at)
>>> headline(found)
'HOLD purchase at ab_50, until the end of 2024-05-02: arms are as large as declared, and all guardrails hold'
>>> tables(found)[0].rows[0]
('ours', '12', '57.1 %', '50 %', '0')
"""

from collections.abc import Iterator

from seqplat_resources.shadow.experiment.decide import MetricReadout
from seqplat_resources.shadow.experiment.intervals import Range
from seqplat_resources.shadow.experiment.readout import Readout
from seqplat_resources.shadow.verdict.account import AccountTable, table_markdown

# Of an arm's total; one user who has so much of it moves it as he likes.
_HEAVY = 0.05
_SIGNS = {"better": "better", "worse": "WORSE", "undecided": "no difference shown"}


def headline(readout: Readout) -> str:
    """State, about whom, and the first thing that keeps it from passing."""
    because = readout.because[0] if readout.because else "arms are as large as declared, and all guardrails hold"
    return f"{readout.state} {readout.event_type} at {readout.step}, until the end of {readout.day}: {because}"


def tables(readout: Readout) -> list[AccountTable]:
    """Most important first."""
    return [_arms(readout), *([_metrics(readout)] if readout.metrics else []), _notes(readout)]


def markdown(readout: Readout) -> str:
    """The same for a page that renders Markdown."""
    return "\n\n".join([f"**{headline(readout)}**", *map(table_markdown, tables(readout))])


def _arms(readout: Readout) -> AccountTable:
    ratio = readout.ratio
    said = "MISMATCH" if ratio.is_red else ("as declared" if ratio.is_enough else "too few to tell")
    share, declared = ratio.share, ratio.declared / 10_000
    rows = tuple(
        (name, f"{users:,}", "-" if share is None else _percent(part), _percent(wanted), f"{moved:,}")
        for name, users, part, wanted, moved in (
            ("ours", ratio.ours, share or 0.0, declared, readout.moved_ours),
            ("legacy", ratio.legacy, 1 - (share or 0.0), 1 - declared, readout.moved_legacy),
        )
    )
    p = "" if ratio.p is None else f", p {ratio.p:.2g}"
    headers = ("arm", "users", "share", "declared", "were in the other before")
    return AccountTable(f"users by arm: {said}{p}", headers, rows, headers[1:])


def _metrics(readout: Readout) -> AccountTable:
    headers = ("metric", "legacy", "ours", "change", "at least", "at most", "shows from", "what", "guardrail", "users")
    rows = tuple(_row(each) for each in readout.metrics)
    sure = f"{100 * (1 - readout.alpha):g} %"
    title = f"metrics (change in percent of legacy; between at least and at most with {sure}, at every look)"
    return AccountTable(
        title, headers, rows, ("legacy", "ours", "change", "at least", "at most", "shows from", "users")
    )


def _row(each: MetricReadout) -> tuple[str, ...]:
    found, users = each.difference, f"{each.legacy.users + each.ours.users:,}"
    values = tuple(_number(arm.value) for arm in (each.legacy, each.ours))
    guardrail = _guardrail(each)
    if found is None:
        return (each.metric.name, *values, "-", "-", "-", "-", each.direction, guardrail, users)
    relative = _shown(found.relative)
    legacy = each.legacy.value
    shows = _percent(found.detectable / abs(legacy)) if legacy else "-"
    change = "-" if found.relative_value is None else _signed(found.relative_value)
    return (each.metric.name, *values, change, *relative, shows, _SIGNS[each.direction], guardrail, users)


def _guardrail(each: MetricReadout) -> str:
    if each.metric.guardrail is None:
        return "-"
    return f"{each.guardrail} ({'-' if each.metric.better == 'higher' else '+'}{_percent(each.metric.guardrail)})"


def _shown(found: Range) -> tuple[str, str]:
    lower, upper = ("-" if end is None else _signed(end) for end in (found.lower, found.upper))
    return lower, upper


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.5g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.3g} %"


def _notes(readout: Readout) -> AccountTable:
    return AccountTable("what to know of these numbers", ("note",), tuple((each,) for each in _noted(readout)))


def _noted(readout: Readout) -> Iterator[str]:
    ended = f" to {readout.until:%Y-%m-%d %H:%M}" if readout.until else ""
    moves = str(readout.first_move) + (f" to {readout.last_move}" if readout.last_move != readout.first_move else "")
    yield f"users first exposed at {readout.step} (move {moves}), since {readout.since:%Y-%m-%d %H:%M}{ended} UTC"
    if readout.sample < 1:
        yield f"exposures are kept of {_percent(readout.sample)} of users, drawn by a hash that says nothing of the arm"
    if readout.moved_ours or readout.moved_legacy:
        yield "users who were in the other arm before count in the arm of this step; what they saw before may linger"
    if readout.dropped:
        yield f"servers lost {readout.dropped:,} exposures, by their own account; users come again, so few are missing"
    if readout.both_arms:
        yield f"{readout.both_arms:,} users were exposed to both arms, which no hash does; they are left out"
    for each in readout.metrics:
        yield from _of_metric(each)


def _of_metric(each: MetricReadout) -> Iterator[str]:
    name, legacy, ours = each.metric.name, each.legacy, each.ours
    if each.through is None:
        yield f"{name}: no day of {each.metric.event_type} is built since the step began"
    if each.because and each.through is not None:
        yield f"{name}: {each.because}"
    if each.waiting:
        yield f"{name}: {each.waiting:,} users wait, as their {each.metric.within_h} hours are not over or not built"
    if capped := legacy.capped + ours.capped:
        yield f"{name}: {capped:,} users had more than the cap of {each.metric.cap:g} and count as that"
    if unusable := legacy.unusable + ours.unusable:
        yield f"{name}: {unusable:,} values are NaN or infinite and were left out"
    for arm, of in (("ours", ours), ("legacy", legacy)):
        if of.heaviest is not None and of.heaviest >= _HEAVY and of.active >= 2:
            yield f"{name}: one user has {_percent(of.heaviest)} of all in {arm}; a cap would keep that from deciding"
