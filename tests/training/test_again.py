"""Training sets made again of the tables as they were, and what pins keep for that."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.table import VersionGone
from seqplat_resources.lake.vacuum import vacuum
from seqplat_resources.records.pins import PinRefused, Pins
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.build import TrainingSetDiffers, build
from seqplat_resources.training.held import held_bytes, pin_set
from tests.building import ManualClock, utc
from tests.serving.test_disk_full import run
from tests.training.test_build import AS_KNOWN, ROWS, event, many
from tests.training.world import put

# Files are as old as the disk says, so the clock goes ahead of it.
LATER = ManualClock(utc(2100, 1, 1))


def events(runtime: Runtime) -> WholeTable:
    return tables.events(replace(runtime, clock=LATER), EventPlan.of(runtime.loaded, "view"))


def moved_on(runtime: Runtime) -> list[str]:
    """Replace every day, and delete what no version needs; the files that went."""
    put(runtime, [event("new", "a", hours) for hours in (0, 24)])
    return [path for path in vacuum(events(runtime), retention_hours=0, dry_run=False) if "day=2024-05-01" in path]


@pytest.fixture
def old_files_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was replaced is old enough."""
    monkeypatch.setattr("seqplat_resources.lake.vacuum.LEAST_HOURS", 0)


def test_a_set_is_made_again_of_the_tables_as_they_were(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once")
    put(runtime, [event("new", "a")])
    later = replace(runtime, clock=ManualClock(utc(2024, 7, 1)))
    again = build(later, AS_KNOWN, ROWS, tmp_path / "again", again=once.manifest)
    assert again.manifest == once.manifest
    assert build(later, AS_KNOWN, ROWS, tmp_path / "now").manifest.shards != once.manifest.shards


def test_what_moved_is_said_where_it_cannot_be_made_again(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once")
    with pytest.raises(
        TrainingSetDiffers, match=r"cannot be made again byte by byte: labels.source: sha256:.*, now"
    ) as no:
        build(runtime, AS_KNOWN, ROWS.head(3), tmp_path / "again", again=once.manifest)
    assert len(no.value.moved) == 1
    assert not (tmp_path / "again").exists()


@pytest.mark.usefixtures("old_files_are_deleted")
def test_what_is_not_pinned_is_deleted_and_missed(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once")
    assert moved_on(runtime)
    with pytest.raises(VersionGone, match=r"version 1 of lake/events/view lacks 1 file\(s\).*seqplat pin"):
        build(runtime, AS_KNOWN, ROWS, tmp_path / "again", again=once.manifest)
    with pytest.raises(VersionGone):
        pin_set(runtime, "late", once.manifest, owner="ann")
    assert Pins(runtime.home).all() == []


@pytest.mark.usefixtures("old_files_are_deleted")
def test_pinned_versions_are_left_until_the_pin_ends(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once")
    pin = pin_set(runtime, "may", once.manifest, owner="ann", expires=dt.timedelta(days=36_500))
    assert held_bytes(runtime, pin) == 0
    assert moved_on(runtime) == []
    assert held_bytes(runtime, pin) > 1000
    assert (
        build(runtime, AS_KNOWN, ROWS, tmp_path / "again", again=once.manifest).manifest.shards == once.manifest.shards
    )
    with pytest.raises(PinRefused, match="'may' is ann's already; `seqplat unpin may`"):
        pin_set(runtime, "may", once.manifest, owner="bob")
    Pins(runtime.home).drop("may")
    assert moved_on(runtime)


@pytest.mark.usefixtures("old_files_are_deleted")
def test_a_pin_that_ended_keeps_nothing(tmp_path: Path) -> None:
    runtime = many(tmp_path)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once")
    pin_set(runtime, "short", once.manifest, owner="ann", expires=dt.timedelta(days=1))
    assert moved_on(runtime)
    assert [pin.holds(LATER.now()) for pin in Pins(runtime.home).all()] == [False]


def test_a_set_made_again_is_asked_for_in_its_own_words_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag beside `--from` was passed over without a word."""
    runtime = many(tmp_path)
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    ROWS.write_parquet(tmp_path / "labels.parquet")
    once, again = tmp_path / "once", tmp_path / "again"
    command = ("training-set", "recent", tmp_path / "labels.parquet")
    assert run(capsys, *command, once, "--mode", "as_corrected", "--length", 2)[0] == 0
    code, said = run(capsys, *command, again, "--from", once, "--mode", "as_known", "--where", "price > 1")
    assert code == 2
    assert "--from asks what that set asked; leave out --mode, --where" in said
    assert run(capsys, *command, again, "--from", once)[0] == 0
    assert (again / "part-00000.parquet").read_bytes() == (once / "part-00000.parquet").read_bytes()


def test_a_manifest_of_another_version_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = many(tmp_path)
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    once = build(runtime, AS_KNOWN, ROWS, tmp_path / "once")
    said = json.loads(once.manifest.dump())
    said["inputs"]["question"]["query"]["newer"] = 1
    (tmp_path / "newer.json").write_text(json.dumps(said))
    ROWS.write_parquet(tmp_path / "labels.parquet")
    code, out = run(
        *(
            capsys,
            "training-set",
            "recent",
            tmp_path / "labels.parquet",
            tmp_path / "x",
            "--from",
            tmp_path / "newer.json",
        )
    )
    assert code == 1
    assert "asks what this version does not know" in out.replace("\n", " ")
    assert "Traceback" not in out
