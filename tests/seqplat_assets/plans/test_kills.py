"""An apply that is disturbed on its way, at any write: nothing is half visible, and applied again it ends as any."""

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from seqplat_resources.batch.backfill.records import BackfillRecords
from seqplat_resources.engine.registry import digests
from seqplat_resources.records.log import RecordLog
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from serving.cli.stopping import AT_ONCE
from tests.building import eventually
from tests.disk import fill, small_disk
from tests.seqplat_assets.plans.column_shop import Shown, built_shop, shown
from tests.seqplat_assets.plans.commands import Commands
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, RECENT, SHOP, loaded
from tests.shared_servers import built_once

STOPPED = 3


@dataclass(frozen=True)
class Shop:
    """A built shop to copy, the name of the plan to apply there, and what is shown before and after."""

    folder: Path
    plan: str
    before: Shown
    after: Shown

    def copied(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.folder, folder, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    opened = Commands()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Shop:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        folder = Path(built_once("column_shop", _built))
    name = next((folder / "home/plans").iterdir()).stem
    whole = Path(shutil.copytree(folder, tmp_path_factory.mktemp("whole"), dirs_exist_ok=True))
    assert commands.finished(whole, "apply", name)[0] == 0
    return Shop(folder, name, shown(folder), shown(whole))


def _built(folder: Path) -> str:
    built_shop(folder)
    return str(folder)


def _instance(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """What the commands recorded in; its configuration names DAGSTER_HOME."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home/dagster"))
    return dg.DagsterInstance.get()


@pytest.mark.parametrize(
    ("before", "nth"),
    [
        ("put channels/", 1),  # after step 1 of an apply; below is what comes between its 2 and 3
        ("put backfills/", 1),
        ("FileWriter.write", 3),  # in the middle of a column
        ("put rates/events/click", 1),  # the column is there, and nobody shows it
        ("Environment.write", 6),
        ("put leases/plans/", 2),  # all is built
    ],
)
def test_a_kill_leaves_nothing_half_visible_and_the_same_again_ends_as_any(
    planned: Shop, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, nth: int
) -> None:
    folder = planned.copied(tmp_path)
    assert commands.finished(folder, "apply", planned.plan, before=before, nth=nth)[0] == -signal.SIGKILL
    left = shown(folder)
    assert (left.half_visible(), left.days) == ([], planned.before.days)
    assert commands.finished(folder, "apply", planned.plan)[0] == 0
    assert shown(folder) == planned.after
    with _instance(folder, monkeypatch) as instance:
        assert not [run for run in instance.get_runs() if not run.is_finished]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_apply_says_how_it_goes_on(planned: Shop, commands: Commands, tmp_path: Path, by: int) -> None:
    folder = planned.copied(tmp_path)
    status, said = commands.finished(folder, "apply", planned.plan, before="FileWriter.write", nth=3, by=by)
    assert (status, f"seqplat apply {planned.plan}" in said) == (STOPPED, True), said
    assert [record.state for record in BackfillRecords(loaded(folder).home).all()] == ["cancelled"]
    assert shown(folder).half_visible() == []
    assert commands.finished(folder, "apply", planned.plan)[0] == 0
    assert shown(folder) == planned.after


@pytest.mark.parametrize("before", ["FileWriter.write", "put rates/events/click"])
def test_a_second_ctrl_c_ends_an_apply_at_once_though_a_write_hangs(
    planned: Shop, commands: Commands, tmp_path: Path, before: str
) -> None:
    folder = planned.copied(tmp_path)
    ended = commands.finished(folder, "apply", planned.plan, before=before, nth=1, by=signal.SIGINT, hangs=True)
    assert (ended[0], "goes on where it is" in ended[1]) == (AT_ONCE, True), ended[1]
    assert (shown(folder).half_visible(), shown(folder).days) == ([], planned.before.days)
    assert commands.finished(folder, "apply", planned.plan)[0] == 0
    assert shown(folder) == planned.after


def test_of_two_applies_one_wins_and_the_other_is_told_who(planned: Shop, commands: Commands, tmp_path: Path) -> None:
    folder = planned.copied(tmp_path)
    with commands.paused(folder, "apply", planned.plan, before="FileWriter.write", nth=3) as first:
        status, said = commands.finished(folder, "apply", planned.plan)
        assert (status, f"process {first.pid} on" in said) == (1, True), said
    assert (first.ended(), shown(folder)) == (0, planned.after), first.said


def test_a_process_that_slept_past_its_leases_writes_over_nothing(
    planned: Shop, commands: Commands, tmp_path: Path
) -> None:
    folder = planned.copied(tmp_path)
    home = loaded(folder).home
    with commands.paused(folder, "apply", planned.plan, before="LakeTable.commit") as first:
        for path in {each["path"].rpartition("/")[0] for each in home.objects.list("leases").collect()}:
            log = RecordLog(home.objects, path)
            if (latest := log.latest()) is not None and not json.loads(latest.data).get("released"):
                log.append(b'{"released": true}', after=latest.number)
        assert commands.finished(folder, "apply", planned.plan)[0] == 0
        assert shown(folder) == planned.after
    assert (first.ended() in (0, 1), shown(folder)) == (True, planned.after), first.said


def test_a_channel_that_moves_meanwhile_ends_an_apply_with_what_moved(
    planned: Shop, commands: Commands, tmp_path: Path
) -> None:
    folder = planned.copied(tmp_path)
    store = ReleaseStore(loaded(folder).home)
    with commands.paused(folder, "apply", planned.plan, before="put backfills/") as child:
        shorter = (SHOP, CLICKS, CLICK, RECENT.model_copy(update={"length": 3}))
        store.move("dev", store.put(lower(Project(shorter, digests()))), by="ann", note="hurry")
    assert (child.ended(), "by ann at" in child.said, "(hurry)" in child.said) == (1, True, True), child.said
    assert shown(folder).rows == planned.before.rows
    status, said = commands.finished(folder, "apply", planned.plan)
    assert (status, "the channel moved since: move 3 by ann" in said) == (1, True), said


def test_days_that_somebody_else_builds_meanwhile_are_whole(planned: Shop, commands: Commands, tmp_path: Path) -> None:
    """A re-seal of a day of a column that is being filled, before the column is written: whole days win."""
    folder = planned.copied(tmp_path)
    with commands.paused(folder, "apply", planned.plan, before="LakeTable.commit") as child:
        status, said = commands.finished(folder, "materialize", str(DAYS[2]), str(DAYS[2]), "events+")
        assert status == 0, said
    assert child.ended() == 0, child.said
    assert shown(folder) == planned.after


def test_a_full_disk_ends_an_apply_in_a_sentence_and_loses_nothing(
    planned: Shop, commands: Commands, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 48 << 20) as disk:
        folder = planned.copied(disk)
        with commands.paused(folder, "apply", planned.plan, before="FileWriter.write") as child:
            taken = fill(disk)
        assert (child.ended(), "Traceback" in child.said, "no room is left" in child.said) == (1, False, True), (
            child.said
        )
        taken.unlink()
        assert shown(folder).half_visible() == []
        assert commands.finished(folder, "apply", planned.plan)[0] == 0
        assert shown(folder) == planned.after


def test_a_backfill_begins_when_the_build_of_a_day_that_somebody_waits_for_is_over(
    planned: Shop, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = planned.copied(tmp_path)
    with commands.paused(
        folder, "materialize", str(DAYS[4]), str(DAYS[4]), "events+", before="LakeTable.commit"
    ) as urgent:
        other = commands.start(folder, "backfill", str(DAYS[0]), str(DAYS[3]), "--again")
        records = BackfillRecords(loaded(folder).home)
        eventually(lambda: any(record.state == "running" for record in records.all()))
        assert other.ended(within_s=5) is None, other.said
    assert (urgent.ended(), other.ended()) == (0, 0), urgent.said + other.said
    with _instance(folder, monkeypatch) as instance:
        later, earlier, _ = instance.get_run_records()
    assert later.dagster_run.tags["seqplat/work"] == "backfill"
    assert (later.start_time or 0) >= (earlier.end_time or 0) > 0
