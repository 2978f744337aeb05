"""A full disk and a killed process while a training set is written: told, nothing half there, and gone on with."""

import os
import signal
import subprocess
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.training import build as building
from seqplat_resources.training.build import TrainingProgress, build
from seqplat_resources.training.manifest import Manifest
from tests.building import ManualClock, runtime_for
from tests.disk import fill, small_disk
from tests.forking import FORKING
from tests.serving.test_disk_full import run
from tests.training.test_build import AS_KNOWN, ROWS, many
from tests.training.world import NOW, definitions


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_LABELS_A_SHARD", 7)


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = many(tmp_path)
    monkeypatch.setenv("SEQPLAT_HOME", runtime.home.root)
    # Noise, which no codec makes smaller: some 200 kB a file.
    noise = pl.Series("noise", [os.urandom(30_000) for _ in range(ROWS.height)])
    ROWS.with_columns(noise).write_parquet(tmp_path / "labels.parquet")
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        command = ("training-set", "recent", tmp_path / "labels.parquet", disk / "set")
        code, said = run(capsys, *command)
        assert code == 1
        assert "visible and nothing is lost: make room" in said.replace("\n", " ")
        assert "Traceback" not in said
        assert not (disk / "set").exists()
        left = fill(disk)  # not a byte, not even for the record of what is being made
        code, said = run(capsys, *command)
        assert (code, "Traceback" in said) == (1, False)
        left.unlink()
        finished = sorted(path.name for path in (disk / "set.partial").glob("*.parquet"))
        assert len(finished) > 1
        subprocess.run(["mount", "-o", f"remount,size={8 << 20}", str(disk)], check=True)
        code, said = run(capsys, *command)
        assert code == 0
        assert f"{len(finished)} file(s) were finished by a run before" in said
        whole = build(runtime, AS_KNOWN, tmp_path / "labels.parquet", tmp_path / "whole")
        assert Manifest.read(disk / "set").shards == whole.manifest.shards


def _killed(folder: Path) -> None:
    def kill(at: TrainingProgress) -> None:
        if at.shard == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    building._LABELS_A_SHARD = 7
    build(many(folder), AS_KNOWN, ROWS, folder / "set", progress=kill)


def test_a_process_that_is_killed_leaves_no_training_set_and_its_files_are_taken(tmp_path: Path) -> None:
    process = FORKING.Process(target=_killed, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    runtime = runtime_for(tmp_path / "home", definitions(length=5), tmp_path, clock=ManualClock(NOW))
    made = build(runtime, AS_KNOWN, ROWS, tmp_path / "set")
    assert made.reused == 2
    assert made.manifest.shards == build(runtime, AS_KNOWN, ROWS, tmp_path / "whole").manifest.shards
