"""A damaged channel, Delta log or lake file under the commands: the file, the way out, exit code 1 and no traceback."""

import os
import shutil
from pathlib import Path

import pytest

from seqplat_resources.release.runtime import Runtime
from tests.building import runtime_for
from tests.lake.test_growth import recent, write_file
from tests.properties.clicks import click, clicks, shop
from tests.serving.test_disk_full import run
from tests.stream.world import DAYS


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    for name in ("SEQPLAT_ONLINE", "SEQPLAT_LOG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEQPLAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEQPLAT_SOURCES", str(tmp_path))
    for day in DAYS:
        write_file(tmp_path, day)
    source = clicks(location="clicks-{day}.parquet", start=DAYS[0])
    return runtime_for(tmp_path / "home", (shop, source, click(), recent(("item",))), tmp_path)


COMMANDS = (("tables",), ("materialize", DAYS[0], DAYS[0], "raw", "events"), ("compact",), ("vacuum",), ("verify",))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"release": "../x"}', b"[" * 100_000])
def test_a_damaged_channel_is_named_until_its_record_is_deleted(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path, damage: bytes
) -> None:
    (record,) = (tmp_path / "home/channels/dev").glob("*.json")
    second = record.with_name("000000000002.json")
    second.write_bytes(damage)
    for command in (*COMMANDS, ("releases",), ("rollback", "dev"), ("get", "recent", "ann"), ("lag",)):
        code, said = run(capsys, *command)
        assert (code, "Traceback" in said) == (1, False), (command, said)
        assert f"{second} is damaged" in said, (command, said)
        assert "delete the file" in said
    second.unlink()
    assert run(capsys, "tables")[0] == 0


@pytest.mark.parametrize("place", ["channels", "releases", "leases", "channels/dev/000000000002.json"])
def test_a_file_in_the_place_of_a_folder_and_links_in_a_circle_are_named(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str
) -> None:
    path = tmp_path / "home" / place
    if path.suffix:
        path.symlink_to(path)
    else:
        shutil.rmtree(path, ignore_errors=True)
        path.write_text("x")
    command = ("materialize", DAYS[0], DAYS[0], "raw") if place == "leases" else ("tables",)
    code, said = run(capsys, *command)
    assert (code, "Traceback" in said) == (1, False), said
    assert "something else lies where the home has a file or a folder" in said
    assert str(path) in said.replace("\n", "")


def test_a_damaged_table_is_named_with_the_way_out(
    runtime: Runtime, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "materialize", DAYS[0], DAYS[0], "raw", "events")[0] == 0
    newest = max((tmp_path / "home/lake/raw/clicks/_delta_log").glob("*.json"))
    whole = newest.read_bytes()
    newest.write_bytes(b"")
    for command in COMMANDS:
        code, said = run(capsys, *command)
        assert (code, "Traceback" in said) == (1, False), (command, said)
        assert (str(newest) in said, "it is empty" in said) == (True, True), (command, said)
    newest.write_bytes(whole)
    assert run(capsys, "materialize", DAYS[0], DAYS[0], "raw", "events")[0] == 0
    file = max((tmp_path / "home/lake/raw/clicks").glob("day=*/*.parquet"), key=os.path.getmtime)
    file.unlink()
    code, said = run(capsys, "materialize", DAYS[0], DAYS[0], "events")
    assert (code, "Traceback" in said, "run `seqplat verify`" in said) == (1, False, True), said
    code, said = run(capsys, "verify")
    assert (code, f"damaged {file} (raw/clicks, {DAYS[0]}): it is not there" in said) == (1, True), said
    assert run(capsys, "materialize", DAYS[0], DAYS[0], "raw", "events")[0] == 0
    assert run(capsys, "verify")[0] == 0
