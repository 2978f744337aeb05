"""Keep a day's readout in ``readout/<event type>``, and say of kept days whether arms and guardrails are well.

>>> [(str(result.day), result.rows) for result in read_out_days(shop, "purchase", days)]
[('2024-05-01', 0), ('2024-05-02', 0), ('2024-05-03', 0)]
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.batch.inputs import tables
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.layout import DAY, READOUT
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.quality.frame import DETAIL, JUDGED, LIMIT, PASSED, RED, VALUE, per_day
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.account import headline, markdown
from seqplat_resources.shadow.experiment.decide import MetricReadout
from seqplat_resources.shadow.experiment.readout import Readout, read_out
from seqplat_resources.shadow.routing import WHOLE

NOBODY = "not judged: until then the event type stood at no step with users of both arms"
NOT_READ = "not judged: it was not read out"


def read_out_days(runtime: Runtime, name: str, days: Sequence[dt.date]) -> Iterator[BucketResult]:
    """Read out the end of each day. A day until which no user was divided is there and empty.

    Raises:
        NoExperiment: the event type has none. LadderDamaged: where it stood is not known.
    """
    table, watch = tables.readout(runtime, name), Stopwatch()
    with watch("total"):
        found = {each.day: each for each in read_out(runtime, name, days)}
    seconds = watch.share(len(days))
    for day in days:
        readout = found.get(day)
        commit = table.replace({DAY: day}, [FilePart(_rows(table, readout))] if readout else [])
        facts = _facts(readout) if readout else {"judged": NOBODY}
        account = markdown(readout) if readout else ""
        yield BucketResult(
            f"{READOUT}/{name}", day, commit.rows, commit.bytes, commit.version, facts, seconds, account=account
        )


def sample_ratio_holds(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Whether arms were as large as declared.

    Shapes:
        Out: per day ``users``, the share of ours as ``value``, the declared one as ``limit``, and ``p``. A day that was
        not read out, or with too few users, is not judged.
    """
    return _judged(runtime, name, days, _ratio_row)


def guardrails_hold(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Whether every metric with a guardrail was proven to be within it.

    Shapes:
        Out: per day the relative difference of each metric, under its name. A day on which that is not proven does not
        pass.
    """
    return _judged(runtime, name, days, _guardrail_row)


def _judged(
    runtime: Runtime, name: str, days: Sequence[dt.date], row: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> pl.DataFrame:
    table = tables.readout(runtime, name)
    kept = table.scan().filter(pl.col(DAY).is_in(list(days)), pl.col("record").is_not_null()).collect()
    records = {day: msgspec.json.decode(record) for day, record in kept.select(DAY, "record").rows()}
    built = {day for (day,) in table.buckets()}
    rows = []
    for day in days:
        if day in records:
            rows.append({DAY: day, **row(records[day])})
        else:
            why = NOBODY if str(day) in built else NOT_READ
            rows.append({DAY: day, PASSED: False, JUDGED: False, RED: False, DETAIL: why})
    return per_day(days, pl.DataFrame(rows, infer_schema_length=None))


def _rows(table: LakeTable, readout: Readout) -> pl.DataFrame:
    """A row per metric, and one with the whole record."""
    rows = [{"metric": each.metric.name, "state": each.direction, **_numbers(each)} for each in readout.metrics]
    whole = {"state": readout.state, "record": readout.record().decode()}
    return pl.DataFrame([*rows, whole], schema=table.schema, orient="row")


def _numbers(each: MetricReadout) -> dict[str, float | None]:
    found = each.difference
    values = {"legacy": each.legacy.value, "ours": each.ours.value}
    if found is None:
        return values
    return {**values, "difference": found.value, "lower": found.every_look.lower, "upper": found.every_look.upper}


def _facts(readout: Readout) -> dict[str, int | float | str]:
    """What the UI plots over days."""
    facts: dict[str, int | float | str] = {
        "judged": headline(readout),
        "state": readout.state,
        "users_ours": readout.ratio.ours,
        "users_legacy": readout.ratio.legacy,
        "exposures_dropped": readout.dropped,
    }
    for each in readout.metrics:
        shown = {"legacy": each.legacy.value, "ours": each.ours.value}
        if each.difference is not None:
            relative = each.difference.relative
            shown |= {"change": each.difference.relative_value, "least": relative.lower, "most": relative.upper}
        facts |= {f"{each.metric.name}_{what}": value for what, value in shown.items() if value is not None}
    return facts


def _ratio_row(record: Mapping[str, Any]) -> dict[str, Any]:
    ratio = record["ratio"]
    ours, users = ratio["ours"], ratio["ours"] + ratio["legacy"]
    return {
        PASSED: not ratio["says"],
        JUDGED: ratio["is_enough"],
        RED: ratio["is_red"],
        VALUE: ours / users if users else None,
        LIMIT: ratio["declared"] / WHOLE,
        DETAIL: ratio["says"],
        "users": users,
        "p": ratio["p"],
    }


def _guardrail_row(record: Mapping[str, Any]) -> dict[str, Any]:
    guarded = [each for each in record["metrics"] if each["guardrail"]]
    found = {each["metric"]["name"]: each["difference"] for each in record["metrics"]}
    said = [text for text in record["because"] if text != record["ratio"]["says"]]
    value, limit = min(filter(None, map(_worst, guarded)), key=lambda each: each[0] - each[1], default=(None, None))
    return {
        PASSED: not said,
        JUDGED: bool(guarded),
        RED: any(each["guardrail"] == "FAIL" for each in guarded),
        VALUE: value,
        LIMIT: limit,
        DETAIL: "; ".join(said) if guarded else "no metric has a guardrail",
        **{name: each["relative_value"] for name, each in found.items() if each},
    }


def _worst(each: Mapping[str, Any]) -> tuple[float, float] | None:
    """How bad a guarded metric may be, by the size of legacy's value and below 0 where it is worse; and how bad at
    most. None where any may be true.
    """
    relative = each["difference"]["relative"] if each["difference"] else {}
    end, sign = ("lower", 1) if each["metric"]["better"] == "higher" else ("upper", -1)
    return None if relative.get(end) is None else (sign * relative[end], -each["metric"]["guardrail"])
