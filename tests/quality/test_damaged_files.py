"""A file that the disk changed: found by ``seqplat verify``, the day's check and the nightly job, with the way out."""

import datetime as dt
import shutil
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from seqplat_assets.repair.verify import NIGHTS, verify_schedule
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.quality.identity import identity
from serving.cli.main import root
from tests.quality.test_identity import said, stream
from tests.stream.world import DAYS, Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    shop.say([said(0, 0), said(1, 5, click=2)])
    stream(shop)
    shop.build(DAYS)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    return shop


def spoil(shop: Shop, table: str) -> Path:
    """Flip one bit of the first file of a table."""
    path = min((shop.folder / "home/lake" / table).glob("day=*/*.parquet"))
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 4]) + data[101:])
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["verify", *arguments])


def test_a_whole_lake_is_verified_in_shares(shop: Shop) -> None:
    done = run()
    assert (done.exit_code, "damaged" in done.output.splitlines()[-1]) == (0, False)
    assert {run("--share", f"{part}/3").exit_code for part in (1, 2, 3)} == {0}
    assert run("--share", "4/3").exit_code == 2
    assert "no table events/nothing" in str(run("events/nothing").exception)


def test_a_damaged_day_of_events_is_named_with_the_command_that_builds_it(shop: Shop) -> None:
    path = spoil(shop, "events/click")
    done = run("events/click", "--from", str(DAYS[0]), "--to", str(DAYS[0]))
    assert done.exit_code == 1
    command = f"seqplat materialize {DAYS[0]} {DAYS[0]} events/click sequences/recent online/click"
    damaged = f"{path} (events/click, {DAYS[0]}): its bytes are not those that were written; run `{command}`"
    assert f"damaged {damaged}" in done.output
    assert run("events/click", "--from", str(DAYS[1])).exit_code == 0
    measured = identity(shop.runtime, "click", DAYS)
    assert measured["passed"].to_list() == [False, True, True]
    assert measured["detail"].to_list() == [damaged, "", ""]
    shop.build(DAYS[:1])
    assert run().exit_code == 0
    assert identity(shop.runtime, "click", DAYS)["passed"].all()


@pytest.mark.parametrize("old", [b'"partitionValues":', b'"version":', b"-0-"])
def test_a_commit_that_still_reads_but_says_something_else_is_found(shop: Shop, old: bytes) -> None:
    """A removed file under another name would double its rows; a position would lose messages, or repeat them."""
    assert run().exit_code == 0
    commit = max((shop.folder / "home/lake/archive/clicks/_delta_log").glob("*.json"))
    whole = commit.read_bytes()
    assert old in whole
    changed = old.replace(b":", b": ").replace(b"-0-", b"-1-")
    commit.write_bytes(whole.replace(old, changed, 1))
    done = run("archive/clicks")
    assert done.exit_code == 1
    assert f"damaged {commit} (archive/clicks, its log): its bytes are not those that were written" in done.output
    commit.write_bytes(whole)
    assert run("archive/clicks").exit_code == 0
    commit.write_bytes(b"")
    done = run()
    assert f"damaged {commit} (archive/clicks, its log): it is empty; restore it from a backup" in done.output
    assert "events/click" in done.output


def test_a_table_that_is_built_anew_has_another_log(shop: Shop) -> None:
    assert run().exit_code == 0
    shutil.rmtree(shop.folder / "home/lake/events/click")
    shop.build(DAYS)
    assert run("events/click").exit_code == 0
    (shop.folder / "home/checksums/lake/events/click.json").write_bytes(b"{")
    assert run("events/click").exit_code == 0


def test_what_a_stream_wrote_comes_from_a_backup(shop: Shop) -> None:
    spoil(shop, "archive/clicks")
    done = run()
    assert (done.exit_code, "restore it from a backup" in done.output) == (1, True)


def test_the_nightly_job_fails_in_the_night_of_the_file(shop: Shop) -> None:
    path = spoil(shop, "events/click")
    schedule = verify_schedule(shop.runtime)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    repository = dg.Definitions(schedules=[schedule]).get_repository_def()
    told = []
    for _ in range(NIGHTS):
        done = repository.get_job("verify_lake").execute_in_process(raise_on_error=False)
        told += [e.step_failure_data.error.to_string() for e in done.all_node_events if e.is_step_failure]  # type: ignore[union-attr]
        shop.clock.time += dt.timedelta(days=1)
    assert len(told) == 1
    assert str(path) in told[0]
