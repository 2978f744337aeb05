"""How the days of one asset stand: kept in the home's ledger of troubles, told as the check ``days_built``."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import dagster as dg

from seqplat_assets.describe.keys import ENRICHMENTS, key_of, name_of
from seqplat_assets.runs.preview import newest_materialization
from seqplat_resources.batch.days.arrivals import inputs_now
from seqplat_resources.batch.days.troubles import DayTroubles, Kind
from seqplat_resources.health.checks import ALL_BUILT
from seqplat_resources.lake.layout import TRAINING
from seqplat_resources.quality.days_built import days_built
from seqplat_resources.release.runtime import Runtime

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

    @property
    def is_patient(self) -> bool:
        """Whether a day that waits is nothing to act on: the outcomes of labels come with the days after them."""
        return self.asset.startswith(f"{TRAINING}/")

    @property
    def key(self) -> dg.AssetKey:
        return key_of(self.asset)

    @cached_property
    def troubles(self) -> DayTroubles:
        return DayTroubles(self.runtime.home, self.runtime.clock)

    def waiting(self, days: Iterable[dt.date]) -> dict[dt.date, str]:
        """Which of ``days`` cannot be built because something they are made of is not well, and which asset that is.

        An enrichment without files holds up no event: cells wait for it.
        """
        wanted, found = set(days), dict[dt.date, str]()
        for name in self.upstream:
            goes_on = {"pending"} if name.startswith(f"{ENRICHMENTS}/") else set[Kind]()
            for day, trouble in self.troubles.of(name).items():
                if day in wanted and trouble.kind not in goes_on:
                    found.setdefault(day, trouble.root or name)
        return dict(sorted(found.items()))

    def unbuilt(self, *, without: Collection[str] = ()) -> dict[dt.date, str]:
        """Days that the last attempt did not build, and that nothing is made of, and why: there is no new bucket to
        judge. Of runs that were broken off but for their checks (``without``) there is.
        """
        judged = {"held", "pending"} if self.goes_on else {"held"}
        found = self.troubles.of(self.asset, without=without)
        return {day: str(trouble) for day, trouble in found.items() if trouble.kind not in judged}

    def unhurried(self) -> set[dt.date]:
        """Days that wait, and that is nothing to act on."""
        found = self.troubles.of(self.asset) if self.is_patient else {}
        return {day for day, trouble in found.items() if trouble.kind == "pending"}

    def note(self, found: Mapping[dt.date, str], kind: Kind, *, check: Mapping[dt.date, str] | None = None) -> None:
        if not found:
            return
        try:
            inputs = inputs_now(self.runtime, self.asset, found)
        except Exception:  # whatever keeps files away may be what went wrong; the day is tried again in any case
            inputs = {}
        self.troubles.note(self.asset, found, kind, check=check, inputs=inputs, release=self.runtime.loaded.id)

    def waits(self, on: Mapping[dt.date, str], others: Iterable[str] = ()) -> None:
        """Days of the asset, or of what is made of it, that wait for a day of another one."""
        why = {day: f"waits for {root} of that day" for day, root in on.items()}
        for name in list(others) or [self.asset]:
            self.troubles.note(name, why, "waits", root=on, release=self.runtime.loaded.id)

    def hold_up(self, others: Sequence[dg.AssetKey], days: Iterable[dt.date]) -> None:
        """What a run was to make of these days, and does not even begin: Dagster skips what has no input."""
        if others:
            mine = self.troubles.of(self.asset)
            roots = {day: (mine[day].root if day in mine else "") or self.asset for day in days}
            self.waits(roots, [name_of(key) for key in others])

    def built(self, days: Iterable[dt.date]) -> None:
        """These days are built. One that a check held is held until the check lets it go."""
        self.troubles.settle(self.asset, set(days) - self._held())

    def let_go(self, days: Iterable[dt.date]) -> bool:
        """No check holds these days any more; whether one did."""
        held = self._held().intersection(days)
        self.troubles.settle(self.asset, held)
        return bool(held)

    def roots(self) -> dict[dt.date, str]:
        """By day that is not well, the asset with the cause."""
        return {day: trouble.root or self.asset for day, trouble in self.troubles.of(self.asset).items()}

    def _held(self) -> set[dt.date]:
        return {day for day, trouble in self.troubles.of(self.asset).items() if trouble.kind == "held"}

    def evaluation(self, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
        """The verdict on all days of the asset."""
        found = days_built(self.runtime, self.asset)
        return dg.AssetCheckEvaluation(
            asset_key=self.key,
            check_name=ALL_BUILT.name,
            passed=not found.detail,
            severity=dg.AssetCheckSeverity.ERROR,
            description=found.detail,
            metadata={**found.numbers, **({"days": table(found.days)} if found.days else {})},
            target_materialization_data=newest_materialization(instance, self.key),
        )


def table(days: Mapping[dt.date, str]) -> dg.TableMetadataValue:
    """Days and what is with them, as the UI shows it."""
    records = [dg.TableRecord({"day": str(day), "what": what}) for day, what in days.items()]
    columns = [dg.TableColumn("day", "string"), dg.TableColumn("what", "string")]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def not_built(
    asset: str,
    days: Sequence[dt.date],
    found: Mapping[dt.date, str],
    waiting: Mapping[dt.date, str] = MappingProxyType({}),
) -> dg.Failure:
    """What a run ends with that could not build, or may not go on with, some of its days.

    ``found`` says why; ``waiting`` days are those of another asset, which says why itself.
    """
    told = [f"{day}: {_first_line(why)}" for day, why in list(found.items())[:DAYS_TOLD]]
    told += [f"and {len(found) - DAYS_TOLD} more day(s)"] if len(found) > DAYS_TOLD else []
    for root in dict.fromkeys(waiting.values()):
        told.append(f"{_listed([day for day in waiting if waiting[day] == root])} for lack of {root}")
    every = dict(sorted({**{day: f"waits for {root}" for day, root in waiting.items()}, **found}.items()))
    share = f"{len(every)} of {len(days)} days" if len(days) > 1 else "the day"
    following = command(min(every), max(every))
    words = f"{asset}: {share} did not go well: {'; '.join(told)}. Next: {following}"
    return dg.Failure(words, metadata={"days": table(every), "next": following}, allow_retries=False)


def _listed(days: Sequence[dt.date]) -> str:
    more = f" and {len(days) - DAYS_TOLD} more" if len(days) > DAYS_TOLD else ""
    return ", ".join(map(str, days[:DAYS_TOLD])) + more


def command(first: dt.date, last: dt.date) -> str:
    """What builds what is missing of these days, when the cause is mended."""
    return f"seqplat materialize {first} {last} --missing"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
