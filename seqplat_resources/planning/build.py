"""Make a plan: what a release changes on a channel, what follows of each change, and what building the days takes.

>>> bought = shop.release.event_types["purchase"].model_copy(update={"filter": "amount > 1"})
>>> types = {**shop.release.event_types, "purchase": bought}
>>> after = shop.release.model_copy(update={"event_types": types})
>>> releases = ReleaseStore(shop.home)
>>> plan = made(shop, releases.get(releases.put(after)))
>>> plan.kind, plan.follows["event_types/purchase"], "events/purchase" in [each.asset for each in plan.work]
('semantic', 'shadow first (purchase), publish, backfill', True)
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from seqplat_resources.batch.backfill.price import hour_price
from seqplat_resources.batch.backfill.rates import Efforts
from seqplat_resources.batch.days.existing import ranges_of
from seqplat_resources.batch.days.partitions import DayRange, Partitions, labelled_assets
from seqplat_resources.batch.days.retention import kept_since
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.inputs.redefined import redefined
from seqplat_resources.lake import layout
from seqplat_resources.planning.again import releases_before
from seqplat_resources.planning.gate import Gated, judge
from seqplat_resources.planning.plan import Plan, PlanStore, Work, spans_of
from seqplat_resources.planning.readers import Readership, Registry, not_counted
from seqplat_resources.planning.stored import StoredParts, moved_days, stored_in
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import LoadedRelease, ReleaseStore
from seqplat_resources.release.view_plan import ViewPlan
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange
from sequence_defs.evolution.meaning import Meaning
from sequence_defs.schema import Keyed, Sequence, View

_NEVER_BUILT, _MADE_OTHERWISE, _AGAIN = "never built", "made by another definition", "made of what is built again"
# As assets are built.
_TAKERS = ("sequences", layout.SESSIONS, layout.OBJECTS)
_ORDER = ("raw", "enrichments", "events", *_TAKERS, "online", layout.TRAINING)
# Who read these sequences lately; None where nobody counted.
Readers = Callable[[list[str]], tuple[Readership, ...] | None]


def made(
    runtime: Runtime, loaded: LoadedRelease, readers: Readers = lambda _: None, registry: Registry = not_counted
) -> Plan:
    """The plan of publishing ``loaded`` to the channel of ``runtime``, which is the channel as it runs now.
    ``readers`` are told in the plan; ``registry`` is what the gate asks.

    Raises: as ``gate.judge``.
    Cost: the log of one table per event type that is reached, and one small record each; nothing per day.
    """
    store = ReleaseStore(runtime.home)
    with stored_in(runtime.home) as stored:
        gated = judge(store, runtime.channel, loaded, stored, registry)
        before = runtime.loaded if gated.move else LoadedRelease("", Release())
        earlier = partial(releases_before, store, runtime.channel, before)
        begun = PlanStore(runtime.home).begun(runtime.channel)
        left = begun.work if begun and (not begun.publishes or begun.move < gated.move) else ()
        needed = _Needed(replace(runtime, loaded=loaded), before.release, stored, earlier, left)
        work = tuple(needed.work())
    plan = Plan(
        gated.channel,
        gated.move,
        gated.base,
        loaded.id,
        gated.changes,
        gated.refused,
        follows_of(gated, loaded.release, {each.asset for each in work}),
        work,
        (),
        (*gated.told, *needed.told),
        hour_price(runtime.home.environment),
    )
    return replace(plan, readings=readers(plan.sequences))


def follows_of(gated: Gated, after: Release, built: set[str]) -> dict[str, str]:
    """By object that changed: publish, backfill, compare with legacy first, or a new version instead."""
    refused = {change.object for change in gated.refused if change.kind == "breaking"}
    found: dict[str, tuple[str, ...]] = {}
    for change in gated.changes:
        steps = ["new version"] if change.object in refused else ["publish"]
        if change.object not in refused:
            if any(f"events/{name}" in built for name in _types_of(change)):
                steps.append("backfill")
            if change.kind == "semantic" and (compared := _compared(change, after)):
                steps.insert(0, f"shadow first ({', '.join(compared)})")
        found[change.object] = max(found.get(change.object, ()), tuple(steps), key=len)
    return {key: ", ".join(steps) for key, steps in found.items()}


def _types_of(change: DefinitionChange) -> list[str]:
    layer, _, name = change.object.partition("/")
    return sorted({*change.reach.event_types, *([name] if layer == "event_types" else [])})


def _compared(change: DefinitionChange, after: Release) -> list[str]:
    """Event types that are still compared with legacy: what is judged there is the new definition."""
    return [n for n in _types_of(change) if n in after.event_types and after.event_types[n].legacy is not None]


@dataclass
class _Needed:
    """The days that are to be built, of a release that the channel does not run yet, or runs over older days."""

    runtime: Runtime
    before: Release
    stored: StoredParts
    earlier: Callable[[], Iterator[Release]]  # those that the channel ran; loaded where days have to be judged by them
    begun: Iterable[Work] = ()  # of a plan that was stopped
    _days: dict[str, set[dt.date]] = field(default_factory=dict)
    _why: dict[str, str] = field(default_factory=dict)
    _columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _meanings: dict[tuple[str, str, int], Meaning | None] = field(default_factory=dict)  # many types have one source
    told: list[str] = field(default_factory=list)  # what is not built, and why

    def work(self) -> Iterator[Work]:
        """In the order in which assets are built: raw rows, enrichments, events."""
        for name, days in self._ranges.event_types.items():
            self._of_event_type(name, days)
        for asset, taker in self._takers():
            self._of_taker(asset, taker)
        self._left_of(self.begun)
        self._made_of_them()
        known = {f"events/{name}": self.stored.days_of(name) for name in self._ranges.event_types}
        efforts = Efforts(self.runtime, {asset: rows for asset, rows in known.items() if rows})
        for asset in sorted(self._days, key=lambda each: (_ORDER.index(each.partition("/")[0]), each)):
            of = self._days[asset]
            columns = self._columns.get(asset.partition("/")[2], ()) if asset.startswith("events/") else ()
            effort = efforts.of(asset, of, columns=columns, together=len(self._days))
            measured = None if effort.unmeasured else round(effort.seconds, 1)
            spans = spans_of(of)
            yield Work(asset, self._why[asset], spans, len(of), effort.rows, effort.bytes, measured, columns)

    def _left_of(self, begun: Iterable[Work]) -> None:
        """What a plan began and was stopped at: days that are not there, but for those that wait for something; and all
        of tables of sequences, which do not say what they were made of.
        """
        ranges, troubles = ranges_of(self.runtime), DayTroubles(self.runtime.home, self.runtime.clock)
        for each in begun:
            if each.asset not in ranges:
                continue
            layer, _, name = each.asset.partition("/")
            there = self.stored.published(name) if layer == "online" else self.stored.built(each.asset)
            waiting = {day for day, of in troubles.of(each.asset).items() if of.kind != "failed"}
            days = {day for day in each.each_day() if day in ranges[each.asset]} - waiting
            self._add(each.asset, days if layer == "sequences" else days - there, each.why)

    def _made_of_them(self) -> None:
        """What is made of the days that are built, as far as it is there, is built as well."""
        release = self.runtime.release
        for name, definition in release.event_types.items():
            uses = [f"enrichments/{use.enrichment}" for use in definition.enrichments]
            changed = set().union(*(self._days.get(key, ()) for key in (f"raw/{definition.source}", *uses)))
            self._add(f"events/{name}", changed & self.stored.built(f"events/{name}") if changed else changed, _AGAIN)
            if days := self._days.get(f"events/{name}"):
                self._add(f"online/{name}", days & self.stored.published(name), _AGAIN)
        for asset, taker in self._takers():
            changed = set().union(*(self._days.get(f"events/{each}", ()) for each in taker.event_types))
            self._add(asset, changed & self.stored.built(asset) if changed else changed, _AGAIN)
        for name, of in self._ranges.training.items():
            self._of_training(name, of.lag)

    def _of_training(self, name: str, lag: int) -> None:
        """Sets that are made hold events of all days before theirs, and outcomes of some after it."""
        asset, definition = f"{layout.TRAINING}/{name}", self.runtime.release.training[name]
        types = self.runtime.release.sequences[definition.sequence].event_types
        of = [*(f"events/{each}" for each in types), *labelled_assets(definition)]
        changed = set().union(*(self._days.get(each, ()) for each in of))
        if changed:
            first = min(changed) - dt.timedelta(days=lag)
            self._add(asset, {day for day in self.stored.built(asset) if day >= first}, _AGAIN)
        hashes = [each.hashes.get(asset) for each in (self.before, self.runtime.release)]
        if len({each.semantic for each in hashes if each}) > 1:
            self._add(asset, set(self.stored.built(asset)), _MADE_OTHERWISE)

    def _takers(self) -> Iterator[tuple[str, Sequence | View]]:
        """What is made of several event types, by asset."""
        for layer in _TAKERS:
            for name, taker in getattr(self.runtime.release, layer).items():
                if name in getattr(self._ranges, layer):
                    yield f"{layer}/{name}", taker

    @cached_property
    def _earlier(self) -> tuple[Release, ...]:
        return tuple(self.earlier())

    @cached_property
    def _ranges(self) -> Partitions:
        return Partitions.of(self.runtime.release)

    @cached_property
    def _ranges_before(self) -> Partitions:
        return Partitions.of(self.before)

    def _of_event_type(self, name: str, days: DayRange) -> None:
        built = self.stored.days_of(name)
        if name in self.before.event_types or not built:
            # One that was published and never built is built as a new one is.
            before = self._ranges_before.event_types.get(name) if built else None
            new = self._new_days(f"events/{name}", days, before) - built.keys()
            for layer in ("events", "online"):
                self._add(f"{layer}/{name}", new, _NEVER_BUILT)
        moved = moved_days(self.before, self.runtime.release, name, self.stored)
        stale, missing = moved.stale, moved.missing
        if stale:
            self._add(f"events/{name}", stale, _MADE_OTHERWISE)
        filled = {day: of for day, of in missing.items() if day not in stale}
        if filled:
            columns = tuple(sorted({column for of in filled.values() for column in of}))
            self._add(f"events/{name}", filled, f"without {', '.join(columns)}")
            self._columns |= {} if stale else {name: columns}
        if wanted := self._days.get(f"events/{name}"):
            self._inputs(name, wanted)
        source = self.runtime.release.event_types[name].source
        if moved.settled and source in self._ranges.raw:  # files of theirs can be read again, their messages not
            there = moved.settled & self.stored.built(f"raw/{source}")
            self._add(f"raw/{source}", self._made_otherwise("raw", source, there), _MADE_OTHERWISE)

    def _of_taker(self, asset: str, taker: Sequence | View) -> None:
        """The days of what it is made of, of a new one, or where nothing of that is built yet; else those that are new
        of one whose table is built at all, and those that a view's earlier definition made.
        """
        layer, _, name = asset.partition("/")
        range_, before = getattr(self._ranges, layer)[name], getattr(self._ranges_before, layer).get(name)
        if name not in getattr(self.before, layer) or not any(map(self.stored.days_of, taker.event_types)):
            there = [{*self.stored.days_of(of), *self._days.get(f"events/{of}", ())} for of in taker.event_types]
            self._add(asset, {day for day in set().union(*there) if day in range_}, _NEVER_BUILT)
            return
        if new := self._new_days(asset, range_, before):
            built = self.stored.built(asset)
            self._add(asset, new - built if built else set(), _NEVER_BUILT)
        if layer != "sequences" and self._meant(asset, self.before) != self._meant(asset, self.runtime.release):
            self._add(asset, set(self.stored.built(asset)), _MADE_OTHERWISE)

    def _meant(self, asset: str, release: Release) -> str:
        return ViewPlan.of(LoadedRelease("", release), asset).meaning

    def _new_days(self, asset: str, after: DayRange, before: DayRange | None) -> set[dt.date]:
        """Days that are over of a range, and that the one before did not have, nor would be deleted at once."""
        if before == after:
            return set()
        since, over = kept_since(self.runtime, asset) or dt.date.min, _over(after, self.runtime.clock.now().date())
        new = {day for day in over if before is None or day not in before}
        if (gone := sum(day < since for day in new)) and asset.startswith("events/"):
            why = f"{gone} day(s) before {since} are not built: retention_days keeps none of them"
            self.told.append(f"{asset}: {why}")
        return {day for day in new if day >= since}

    def _inputs(self, name: str, days: set[dt.date]) -> None:
        """Raw rows and enrichments that have to be built for these days of an event type, or built again."""
        definition = self.runtime.release.event_types[name]
        if definition.source in self._ranges.raw:
            self._input(f"raw/{definition.source}", days, self._ranges.raw[definition.source])
        for use in definition.enrichments:
            if use.enrichment in self._ranges.enrichments:
                self._input(f"enrichments/{use.enrichment}", days, self._ranges.enrichments[use.enrichment])

    def _input(self, asset: str, days: set[dt.date], range_: DayRange) -> None:
        layer, _, name = asset.partition("/")
        there = self.stored.built(asset)
        wanted = {day for day in days if day in range_}
        if lacking := wanted - there:
            self._add(asset, lacking, _NEVER_BUILT)
        self._add(asset, self._made_otherwise(layer, name, wanted & there), _MADE_OTHERWISE)

    def _made_otherwise(self, layer: str, name: str, days: set[dt.date]) -> set[dt.date]:
        """Days that hold other rows or columns than the release would make: of all of them where it moves now what
        they mean, else of those that say so, where any release of the channel meant something else.
        """
        if self._is_redefined(layer, name):
            return days
        after = self._meaning(layer, name, self.runtime.release)
        if not days or all(self._meaning(layer, name, each) in (None, after) for each in self._earlier):
            return set()
        return set(redefined(self.runtime, f"{layer}/{name}", days))

    def _is_redefined(self, layer: str, name: str) -> bool:
        """Whether the release makes other rows of it than the one that ran, or columns that it did not make."""
        before = self._meaning(layer, name, self.before)
        after = self._meaning(layer, name, self.runtime.release)
        if before is None or after is None:
            return False
        moved = after.differs_from(before)
        return moved.is_stale or bool(moved.missing)

    def _meaning(self, layer: str, name: str, release: Release) -> Meaning | None:
        """What its rows mean to a release; None where that has none of them."""
        key = (layer, name, id(release))
        if key not in self._meanings:
            self._meanings[key] = _meaning(layer, name, release)
        return self._meanings[key]

    def _add(self, asset: str, days: "set[dt.date] | Mapping[dt.date, object]", why: str) -> None:
        if days:
            self._days.setdefault(asset, set()).update(days)
            self._why.setdefault(asset, why)


def _meaning(layer: str, name: str, release: Release) -> Meaning | None:
    if layer == "raw":
        return Meaning.of_source(release, name) if name in release.sources else None
    is_table = isinstance(release.enrichments.get(name), Keyed)
    return Meaning.of_enrichment(release, name) if is_table else None


def _over(range_: DayRange, today: dt.date) -> set[dt.date]:
    """The days of a range that are over."""
    last = today if range_.end is None else min(today, range_.end)
    return {range_.start + dt.timedelta(days=n) for n in range(max(0, (last - range_.start).days))}
