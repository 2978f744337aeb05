"""Run contestants against each other: prepare, measure in rounds, hand back the runs. Knows no workload."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, report
from benchmarks.measure import MB, measure

REPOSITORY = Path(__file__).parent.parent

Command = tuple[str, ...]


@dataclass(frozen=True)
class Preparation:
    """Work nobody is measured on: `folder` is emptied and the commands run, once for all contestants that share it."""

    folder: Path
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Contestant:
    """Someone who does the work of a benchmark.

    `command` ends its output with one JSON line `{"work_s": seconds without start-up, "versions": {tool: version}}`.
    It finds `reads` in the page cache and `clears` gone. What is counted as written are the Parquet files below
    `output`. Compared are those below `compared`, which the commands of `export` put there. The commands of `before`
    run ahead of each run, unmeasured. `messages` is what a contestant of a stream gets to read.
    """

    name: str
    command: Command
    reads: tuple[Path, ...]
    clears: tuple[Path, ...]
    output: Path
    compared: Path
    prepare: Preparation | None = None
    before: tuple[Command, ...] = ()
    export: tuple[Command, ...] = ()
    messages: int = 0


class WrongAnswerError(RuntimeError):
    """A contestant's output differs from what the input promises or from the first contestant's."""

    def __init__(self, *, contestant: str, found: Sequence[str], output: Path) -> None:
        self.contestant, self.found = contestant, list(found)
        super().__init__(
            f"contestant {contestant!r} wrote a wrong answer: {'; '.join(found)}. "
            f"Its output is kept in {output}; run it alone on little data to find the step."
        )


def scratch(cache: Path) -> Path:
    """The cache folder, made if need be. Everything in it may be deleted at any time."""
    cache = cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n")  # gigabytes that no commit may pick up, wherever the folder lies
    return cache


def measure_rounds(contestants: Sequence[Contestant], *, repeat: int) -> list[report.Run]:
    """Prepare all, then measure each `repeat` times.

    Rounds rather than blocks: whatever slows the machine for a minute then slows one run of each.

    Raises:
        CommandFailedError: a contestant failed. subprocess.CalledProcessError: a preparation did.
    """
    for preparation in dict.fromkeys(each.prepare for each in contestants if each.prepare):
        shutil.rmtree(preparation.folder, ignore_errors=True)
        for command in preparation.commands:
            _run(command)
    runs = []
    for _ in range(repeat):
        for contestant in contestants:
            runs.append(_measured(contestant))
            cost = f"{runs[-1].wall_s:.1f} s, {runs[-1].cpu_s:.1f} CPU s, {runs[-1].peak_rss_mb:.0f} MB"
            print(f"{contestant.name}: {cost}", flush=True)
    return runs


@contextmanager
def comparable(contestant: Contestant) -> Iterator[Path]:
    """What the contestant wrote last, in the form that is compared; an export is gone again afterwards."""
    if not contestant.export:
        yield contestant.compared
        return
    shutil.rmtree(contestant.compared, ignore_errors=True)
    for command in contestant.export:
        _run(command)
    yield contestant.compared
    shutil.rmtree(contestant.compared)  # NOTE: not after an error, which most often is about these very files


def discard(contestants: Sequence[Contestant]) -> None:
    """Delete what the contestants prepared and wrote."""
    for each in contestants:
        prepared = [each.prepare.folder] if each.prepare else []
        for folder in (*each.clears, *prepared):
            shutil.rmtree(folder, ignore_errors=True)


def _measured(contestant: Contestant) -> report.Run:
    for folder in contestant.clears:
        shutil.rmtree(folder, ignore_errors=True)
    for command in contestant.before:
        _run(command)
    _warm(contestant.reads)
    os.sync()  # the previous contestant's dirty pages are not this one's cost
    load = machine.load_per_core()
    cost = measure(contestant.command, cwd=REPOSITORY)
    said = json.loads(cost.stdout.strip().splitlines()[-1])
    written = sum(file.stat().st_size for file in contestant.output.rglob("*.parquet"))
    return report.Run(
        contestant=contestant.name,
        wall_s=cost.wall_s,
        work_s=said["work_s"],
        cpu_s=cost.cpu_s,
        peak_rss_mb=cost.peak_rss_mb,
        output_mb=round(written / MB, 1),
        load_per_core_before=load,
        versions=said["versions"],
        steps_s=said.get("steps_s", {}),
        messages=contestant.messages,
    )


def _run(command: Command) -> None:
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def _warm(paths: Sequence[Path]) -> None:
    """Read all input once: every contestant starts from the page cache, none pays for being the first."""
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as stream:
                    while stream.read(1 << 24):
                        pass
