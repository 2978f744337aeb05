"""How the days of one asset stand: kept in the home's ledger of troubles, told as the check ``days_built``."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from seqplat_assets.keys import ENRICHMENTS
from seqplat_assets.preview import newest_materialization
from seqplat_resources.batch.arrivals import inputs_now
from seqplat_resources.batch.troubles import Kind, Troubles
from seqplat_resources.quality.days_built import days_built
from seqplat_resources.runtime import Runtime

DAYS_BUILT = "days_built"
DESCRIPTION = "Of all days none failed, waits for files or is held by a check; where days go on, yesterday is built."
# A failure names so many days with their reasons; its metadata have all.
DAYS_TOLD = 5


@dataclass(frozen=True)
class Daybook:
    """Of one asset (``events/click``) and those it is made from."""

    runtime: Runtime
    asset: str
    upstream: Sequence[str] = ()

    @property
    def goes_on(self) -> bool:
        """Whether what is made of a day is built although its files are not there: cells wait for an enrichment."""
        return self.asset.startswith(f"{ENRICHMENTS}/")

    @cached_property
    def troubles(self) -> Troubles:
        return Troubles(self.runtime.home, self.runtime.clock)

    def waiting(self, days: Iterable[dt.date]) -> dict[dt.date, str]:
        """Which of ``days`` cannot be built because something they are made of is not well, and what.

        An enrichment without files holds up no event: cells wait for it.
        """
        wanted, found = set(days), dict[dt.date, str]()
        for name in self.upstream:
            goes_on = {"pending"} if name.startswith(f"{ENRICHMENTS}/") else set[Kind]()
            for day, trouble in self.troubles.of(name).items():
                if day in wanted and trouble.kind not in goes_on:
                    found.setdefault(day, f"waits for {name} of that day ({_first_line(str(trouble))})")
        return dict(sorted(found.items()))

    def unbuilt(self) -> set[dt.date]:
        """Days that the last attempt did not build, and that nothing is made of: there is no new bucket to judge."""
        judged = {"held", "pending"} if self.goes_on else {"held"}
        return {day for day, trouble in self.troubles.of(self.asset).items() if trouble.kind not in judged}

    def note(self, found: Mapping[dt.date, str], kind: Kind, *, check: Mapping[dt.date, str] | None = None) -> None:
        if found:
            inputs = inputs_now(self.runtime, self.asset, found)
            release = self.runtime.loaded.id
            self.troubles.note(self.asset, found, kind, check=check, inputs=inputs, release=release)

    def hold_up(self, others: Iterable[str], days: Iterable[dt.date]) -> None:
        """What a run was to make of these days, and does not even begin: Dagster skips what has no input."""
        why = dict.fromkeys(days, f"waits for {self.asset} of that day")
        for name in others:
            self.troubles.note(name, why, "waits", release=self.runtime.loaded.id)

    def built(self, days: Iterable[dt.date]) -> None:
        """These days are built. One that a check held is held until the check lets it go."""
        self.troubles.settle(self.asset, set(days) - self._held())

    def let_go(self, days: Iterable[dt.date]) -> bool:
        """No check holds these days any more; whether one did."""
        held = self._held().intersection(days)
        self.troubles.settle(self.asset, held)
        return bool(held)

    def _held(self) -> set[dt.date]:
        return {day for day, trouble in self.troubles.of(self.asset).items() if trouble.kind == "held"}

    def evaluation(self, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
        """The verdict on all days of the asset."""
        found = days_built(self.runtime, self.asset)
        key = dg.AssetKey(self.asset.split("/"))
        return dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=DAYS_BUILT,
            passed=not found.detail,
            severity=dg.AssetCheckSeverity.ERROR,
            description=found.detail,
            metadata={**found.numbers, **({"days": table(found.days)} if found.days else {})},
            target_materialization_data=newest_materialization(instance, key),
        )


def table(days: Mapping[dt.date, str]) -> dg.TableMetadataValue:
    """Days and what is with them, as the UI shows it."""
    records = [dg.TableRecord({"day": str(day), "what": what}) for day, what in days.items()]
    columns = [dg.TableColumn("day", "string"), dg.TableColumn("what", "string")]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def not_built(asset: str, days: Sequence[dt.date], found: Mapping[dt.date, str]) -> dg.Failure:
    """What a run ends with that could not build, or may not go on with, some of its days."""
    told = [f"{day}: {_first_line(why)}" for day, why in list(found.items())[:DAYS_TOLD]]
    others = [f"and {len(found) - DAYS_TOLD} more day(s)"] if len(found) > DAYS_TOLD else []
    share = f"{len(found)} of {len(days)} days" if len(days) > 1 else "the day"
    first, last = min(found), max(found)
    words = f"{asset}: {share} did not go well: {'; '.join([*told, *others])}. Next: {command(first, last)}"
    return dg.Failure(words, metadata={"days": table(found), "next": command(first, last)}, allow_retries=False)


def command(first: dt.date, last: dt.date) -> str:
    """What builds what is missing of these days, when the cause is mended."""
    return f"seqplat materialize {first} {last} --missing"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
