"""Whether every day of an asset is as it should be: none failed, waiting, held or missed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqplat_resources.batch.days.existing import built_days, lost_days, missed_days, ranges_of
from seqplat_resources.batch.days.retention import expired_before
from seqplat_resources.batch.days.schedule import late_after
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.lake.layout import TRAINING
from seqplat_resources.release.runtime import Runtime

DAYS_TOLD = 3
LOST = "what is published cannot be read: publish any of its days, and all that are built are published again"


@dataclass(frozen=True)
class DaysBuilt:
    """``days`` are those with a problem, by day, and ``detail`` names the newest of them; empty where all are well."""

    days: Mapping[dt.date, str]
    detail: str
    numbers: Mapping[str, float]


def days_built(runtime: Runtime, asset: str) -> DaysBuilt:
    """Look at the ledger of troubles and, where days go on, for yesterday.

    Days before the first that was built are not missed: a backfill is somebody's decision. Days whose labels wait for
    their outcomes are counted, and well.
    """
    days = ranges_of(runtime)[asset]
    missed = list[dt.date]()
    if days.end is None:
        built, late = built_days(runtime, asset), late_after(runtime.release, asset)
        missed = missed_days(days, built, runtime.clock.now(), late, expired_before(runtime, asset))
    found = DayTroubles(runtime.home, runtime.clock).of(asset)
    waiting = {day for day, each in found.items() if each.kind == "pending" and asset.startswith(f"{TRAINING}/")}
    troubles = {day: str(trouble) for day, trouble in found.items() if day not in waiting}
    lost = lost_days(runtime, asset)
    missed = [day for day in sorted({*missed, *lost}) if day not in {*troubles, *waiting}]
    numbers = {"not_well": float(len(troubles)), "missed": float(len(missed))}
    if waiting:
        numbers["waiting"] = float(len(waiting))
    every = {**dict.fromkeys(missed, "not built"), **troubles}
    told = [_summary(troubles, missed), LOST if lost else ""]
    return DaysBuilt(dict(sorted(every.items())), "; ".join(filter(None, told)), numbers)


def _summary(troubles: Mapping[dt.date, str], missed: Sequence[dt.date]) -> str:
    told = [f"{day}: {why}" for day, why in sorted(troubles.items(), reverse=True)]
    others = [f"and {len(told) - DAYS_TOLD} more"] if told[DAYS_TOLD:] else []
    since = [f"{len(missed)} day(s) not built: {missed[0]} to {missed[-1]}"] if missed else []
    return "; ".join([*told[:DAYS_TOLD], *others, *since])
