"""An apply that is disturbed on its way, at any write: nothing is half visible, and applied again it ends as any."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from tests.disk import fill, small_disk
from tests.seqplat_assets.plans.column_shop import Shown, built_shop, finished, shown, start
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
def planned(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        folder = Path(built_once("column_shop", _built))
    name = next((folder / "home/plans").iterdir()).stem
    whole = Path(shutil.copytree(folder, tmp_path_factory.mktemp("whole"), dirs_exist_ok=True))
    assert finished(whole, "apply", name)[0] == 0
    return Shop(folder, name, shown(folder), shown(whole))


def _built(folder: Path) -> str:
    built_shop(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("before", "nth"),
    [
        ("put channels/", 1),  # after step 1 of an apply; below is what comes between its 2 and 3
        ("put backfills/", 1),
        ("FileWriter.write", 3),  # in the middle of a column
        ("put rates/events/click", 1),  # the column is there, and nobody shows it
        ("Environment.write", 12),
        ("put leases/plans/", 2),  # all is built
    ],
)
def test_a_kill_leaves_nothing_half_visible_and_the_same_again_ends_as_any(
    planned: Shop, tmp_path: Path, before: str, nth: int
) -> None:
    folder = planned.copied(tmp_path)
    assert finished(folder, "apply", planned.plan, before=before, nth=nth)[0] == -signal.SIGKILL
    left = shown(folder)
    assert (left.half_visible(), left.days) == ([], planned.before.days)
    assert finished(folder, "apply", planned.plan)[0] == 0
    assert shown(folder) == planned.after
    with dg.DagsterInstance.from_config(str(folder / "home/dagster")) as instance:
        assert not [run for run in instance.get_runs() if not run.is_finished]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_apply_says_how_it_goes_on(planned: Shop, tmp_path: Path, by: int) -> None:
    folder = planned.copied(tmp_path)
    status, said = finished(folder, "apply", planned.plan, before="FileWriter.write", nth=3, by=by)
    assert (status, f"seqplat apply {planned.plan}" in said) == (STOPPED, True), said
    assert [record.state for record in BackfillRecords(loaded(folder).home).all()] == ["cancelled"]
    assert shown(folder).half_visible() == []
    assert finished(folder, "apply", planned.plan)[0] == 0
    assert shown(folder) == planned.after


@contextmanager
def paused(folder: Path, plan: str, *, before: str, nth: int = 1) -> "Iterator[subprocess.Popen[str]]":
    """An apply that stands still before a write, for the length of the block, and goes on after it."""
    child = start(folder, "apply", plan, before=before, nth=nth, by=signal.SIGSTOP)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), child.communicate()[0]
    try:
        yield child
    finally:
        os.kill(child.pid, signal.SIGCONT)


def test_of_two_applies_one_wins_and_the_other_is_told_who(planned: Shop, tmp_path: Path) -> None:
    folder = planned.copied(tmp_path)
    with paused(folder, planned.plan, before="FileWriter.write", nth=3) as first:
        status, said = finished(folder, "apply", planned.plan)
        assert (status, f"process {first.pid} on" in said) == (1, True), said
    assert first.communicate()[1] is None
    assert (first.returncode, shown(folder)) == (0, planned.after)


def test_a_process_that_slept_past_its_leases_writes_over_nothing(planned: Shop, tmp_path: Path) -> None:
    folder = planned.copied(tmp_path)
    home = loaded(folder).home
    with paused(folder, planned.plan, before="LakeTable.commit") as first:
        for path in {each["path"].rpartition("/")[0] for each in home.objects.list("leases").collect()}:
            log = RecordLog(home.objects, path)
            if (latest := log.latest()) is not None and not json.loads(latest.data).get("released"):
                log.append(b'{"released": true}', after=latest.number)
        assert finished(folder, "apply", planned.plan)[0] == 0
        assert shown(folder) == planned.after
    said, _ = first.communicate()
    assert (first.returncode in (0, 1), shown(folder)) == (True, planned.after), said


def test_a_channel_that_moves_meanwhile_ends_an_apply_with_what_moved(planned: Shop, tmp_path: Path) -> None:
    folder = planned.copied(tmp_path)
    store = ReleaseStore(loaded(folder).home)
    with paused(folder, planned.plan, before="put backfills/") as child:
        shorter = (SHOP, CLICKS, CLICK, RECENT.model_copy(update={"length": 3}))
        store.move("dev", store.put(lower(Project(shorter, digests()))), by="ann", note="hurry")
    said, _ = child.communicate()
    assert (child.returncode, "by ann at" in said, "(hurry)" in said) == (1, True, True), said
    assert shown(folder).rows == planned.before.rows
    status, said = finished(folder, "apply", planned.plan)
    assert (status, "the channel moved since: move 3 by ann" in said) == (1, True), said


def test_days_that_somebody_else_builds_meanwhile_are_whole(planned: Shop, tmp_path: Path) -> None:
    """A re-seal of a day of a column that is being filled: it waits for the leases, and wins."""
    folder = planned.copied(tmp_path)
    with paused(folder, planned.plan, before="LakeTable.commit") as child:
        other = start(folder, "materialize", str(DAYS[2]), "events+")
        with suppress(subprocess.TimeoutExpired):
            other.wait(timeout=8)
    said, theirs = child.communicate()[0], other.communicate()[0]
    assert (child.returncode, other.returncode) == (0, 0), said + theirs
    assert shown(folder) == planned.after


def test_a_full_disk_ends_an_apply_in_a_sentence_and_loses_nothing(planned: Shop, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 48 << 20) as disk:
        folder = planned.copied(disk)
        with paused(folder, planned.plan, before="FileWriter.write") as child:
            taken = fill(disk)
        said, _ = child.communicate()
        assert (child.returncode, "Traceback" in said) == (1, False), said
        assert "no room" in said or "disk" in said, said
        taken.unlink()
        assert shown(folder).half_visible() == []
        assert finished(folder, "apply", planned.plan)[0] == 0
        assert shown(folder) == planned.after
