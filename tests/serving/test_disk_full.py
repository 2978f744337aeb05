"""A disk without room: every command says so in a sentence, nothing is lost, and all go on when there is room."""

import gc
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqplat_resources.batch.days.needs import all_needs
from seqplat_resources.batch.days.reserve import Reserve
from seqplat_resources.batch.inputs import tables
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Source
from serving.cli.main import main
from tests.building import runtime_for
from tests.disk import fill, small_disk
from tests.lake.test_growth import recent, write_file
from tests.properties.clicks import click, clicks, shop
from tests.serving.cli.test_stream_commands import message
from tests.stream.world import DAYS, TOPIC

FILES: Source = clicks(location="clicks-{day}.parquet", topic=TOPIC, start=DAYS[0])


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    for name in ("SEQPLAT_ONLINE", "SEQPLAT_LOG", "SEQPLAT_KAFKA_BOOTSTRAP", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    with small_disk(tmp_path / "disk", 24 << 20) as disk:
        monkeypatch.setenv("SEQPLAT_HOME", str(disk / "home"))
        monkeypatch.setenv("SEQPLAT_LOG_DIR", str(disk / "log"))
        monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path))
        for day in DAYS:
            write_file(tmp_path, day)
        yield runtime_for(Home(str(disk / "home"), {}), (shop, FILES, click(), recent(("item",))), tmp_path)
        gc.collect()  # LMDB's file is mapped until then


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and all output of a command, as a person gets them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["seqplat", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    found = capsys.readouterr()
    return code, found.out + found.err


def test_vacuum_makes_room_where_there_is_none_and_days_that_failed_are_known(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))  # a run is known, and its disk has room
    for module in ("seqplat_resources.lake.vacuum", "serving.cli.storage.lake"):
        monkeypatch.setattr(f"{module}.LEAST_HOURS", 0)
    for _ in range(2):
        assert run(capsys, "materialize", DAYS[0])[0] == 0
    # Of the first table there is nothing to delete, and its note needs room.
    assert run(capsys, "vacuum", "raw/clicks", "--hours", 0, "--delete")[0] == 0
    fill(tmp_path / "disk")
    assert run(capsys, "materialize", DAYS[1], DAYS[2])[0] == 1
    fill(tmp_path / "disk")
    assert set(all_needs(runtime)["raw/clicks"]) == {DAYS[1], DAYS[2]}
    code, said = run(capsys, "vacuum", "raw/clicks", "events/click", "--hours", 0, "--delete")
    assert code == 0, said
    assert "events/click: 0" not in said
    os.unlink(tmp_path / "disk/filled")
    assert "2 day(s) not well" in run(capsys, "dirty")[1]
    assert run(capsys, "reseal", "--all")[0] == 0
    assert not all_needs(runtime)
    assert Reserve(runtime.home).records() == {}


def test_vacuum_makes_room_where_all_that_can_go_was_never_committed(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before such files go it has to write that they do; of what versions had it deletes first, and here is none."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    for module in ("seqplat_resources.lake.vacuum", "serving.cli.storage.lake"):
        monkeypatch.setattr(f"{module}.LEAST_HOURS", 0)
    assert run(capsys, "materialize", DAYS[0])[0] == 0
    for _ in range(2):
        left = [
            Path(runtime.home.uri(f"lake/{name}/day={DAYS[0]}/left.parquet")) for name in ("raw/clicks", "events/click")
        ]
        for orphan in left:
            orphan.write_bytes(bytes(1 << 20))
        fill(tmp_path / "disk")
        code, said = run(capsys, "vacuum", "--hours", 0, "--delete")
        assert code == 0, said
        assert not any(orphan.exists() for orphan in left), said
        os.unlink(tmp_path / "disk/filled")
    assert run(capsys, "materialize", DAYS[1])[0] == 0
    assert run(capsys, "verify")[0] == 0


def test_a_home_that_cannot_be_written_is_shown_all_the_same(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    assert run(capsys, "materialize", DAYS[0])[0] == 0
    gc.collect()
    subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
    for shown in (("dirty",), ("tables",), ("verify",), ("epochs",), ("get", "recent", "u"), ("expire", "--dry-run")):
        code, said = run(capsys, *shown)
        assert code == 0, said
    for refused in (("expire", "--everything"), ("vacuum", "--delete"), ("stream", "--seconds", 1)):
        code, said = run(capsys, *refused)
        assert code == 1, said
        assert "Read-only file system" in said
        assert "Traceback" not in said


def test_every_command_says_so_and_goes_on_when_there_is_room(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "said").write_text(message(click=5, amount=7, other="x" * 20_000))
    late = tmp_path / "late.ndjson"
    late.write_text(message(click=6, amount=7))
    assert run(capsys, "send", "clicks", tmp_path / "said")[0] == 0
    assert run(capsys, "stream", "--seconds", 1)[0] == 0
    assert run(capsys, "materialize", DAYS[0])[0] == 0
    definitions = tmp_path / "defs.py"
    definitions.write_text(
        "from sequence_defs.schema import Tenant\n"
        'shop = Tenant(name="shop", tenant="shop", description="d", owner="team:shop")\n'
    )
    taken = fill(tmp_path / "disk")
    for command in (
        ("materialize", DAYS[1]),
        ("send", "clicks", tmp_path / "said"),
        ("ingest", "clicks", late),
        ("publish", "--definitions", definitions, "--channel", "other"),
        ("keys", "create", "shop"),
    ):
        fill(tmp_path / "disk")  # what the command before could not write is free again
        code, said = run(capsys, *command)
        assert (code, "Traceback" in said) == (1, False), (command, said)
        assert "no room is left to write" in said, (command, said)
    for command in (("tables",), ("get", "recent", "ann"), ("rejects",), ("lag",), ("verify",), ("dirty",)):
        code, said = run(capsys, *command)
        assert (code, "Traceback" in said) == (0, False), (command, said)
    taken.unlink()
    assert run(capsys, "materialize", DAYS[0], DAYS[-1])[0] == 0
    assert run(capsys, "send", "clicks", tmp_path / "said")[0] == 0
    assert run(capsys, "stream", "--seconds", 1)[0] == 0
    assert run(capsys, "ingest", "clicks", late)[0] == 0
    assert run(capsys, "verify")[0] == 0
    archive = tables.archive(runtime, FILES).scan().collect()
    assert sorted(archive["click"]) == [5, 5, 6]
    with open_online_store(runtime.home, readonly=True).snapshot() as snapshot:
        assert snapshot is not None
    assert os.path.exists(tmp_path / "disk/home")
