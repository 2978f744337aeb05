"""Legacy's sequences beside those of a second run: noise widens bands of sequences as it does those of events."""

from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.sequences.build import compare_days
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.replay import measure_sequence_floor
from seqplat_resources.shadow.sequences.window import judged_sequence
from seqplat_resources.shadow.verdict.floors import CannotMeasure
from sequence_defs.schema import Blobs, Sequence
from tests.building import runtime_for
from tests.shadow.world import DAYS, USERS, World, history, old_visits, shop, visit, visits

NOISY = 8


def test_the_noise_of_sequences_is_measured_and_widens_their_bands(tmp_path: Path) -> None:
    world = World(tmp_path / "world", visit(), history)
    world.build()
    assert history.legacy is not None
    again = Blobs(location="again/{day}.parquet", user_id="who", events="events", encoding="list")
    legacy = history.legacy.model_copy(update={"replay": again})
    replayed: Sequence = history.model_copy(update={"legacy": legacy})

    def runtime_of(sequence: Sequence) -> Runtime:
        return runtime_for(world.folder / "home", [shop, visits, old_visits, visit(), sequence], world.folder)

    for day in DAYS:
        world.lay(day, world.blobs(day))
    plain = runtime_of(history)
    list(compare_days(plain, "history", DAYS))
    with pytest.raises(CannotMeasure, match=r"names no replay.*LegacySequence\(replay=Blobs"):
        measure_sequence_floor(plain, "history", who="ann")
    runtime = runtime_of(replayed)
    with pytest.raises(CannotMeasure, match="and there are 0; lay more beside 'again/"):
        measure_sequence_floor(runtime, "history", who="ann")
    events = pl.col("events")
    swapped = pl.concat_list(events.list.slice(1, 1), events.list.head(1), events.list.slice(2))
    noisy = pl.col("who").is_in([f"u{user}" for user in range(NOISY)]) & (events.list.len() > 1)
    (world.folder / "again").mkdir()
    for day in DAYS:
        blobs = world.blobs(day).with_columns(events=pl.when(noisy).then(swapped).otherwise(events))
        blobs.write_parquet(world.folder / "again" / f"{day}.parquet")

    floor = measure_sequence_floor(runtime, "history", who="ann")
    assert (floor.number, floor.days, floor.first, floor.last) == (1, 7, DAYS[1], DAYS[-1])
    share = NOISY / USERS
    assert floor.shares["not_identical"] == floor.shares["top_10"] == pytest.approx(share)
    assert floor.shares["jaccard"] == pytest.approx(0, abs=1e-9)
    found = judged_sequence(runtime, "history", until=DAYS[-1], who="ann").record
    assert len(found.case.window.judged) == len(DAYS), "a replay is no other comparison"
    limits = {each.metric.name: each.limit for each in found.decision.judged}
    assert limits["not_identical"] == limits["top_10"] == pytest.approx(2 * share)
    assert limits["jaccard"] == 0.005
    assert "again/{day}.parquet" in found.case.measured
    assert SequenceSides.open(runtime_of(history), "history").floor is None
