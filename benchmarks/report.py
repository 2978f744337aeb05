"""Results in and out: one JSON file per benchmark and size, and the Markdown tables the README shows of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.machine import Machine

RESULTS_DIR = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
BASELINE = "seqplat"  # ratios are against it, or against the first contestant where it did not run


@dataclass(frozen=True)
class Run:
    """One measured run of one contestant. `work_s` is what it timed itself, without start-up; sizes are 10**6 bytes.

    `load_per_core_before` is the machine's load average when the run started: a published run has next to none.
    """

    contestant: str
    wall_s: float
    work_s: float
    cpu_s: float
    peak_rss_mb: float
    output_mb: float
    load_per_core_before: float
    versions: dict[str, str]
    steps_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """One benchmark at one size on one machine; `checked` says in one sentence what was verified about the outputs."""

    benchmark: str
    rows: int
    recorded_on: str
    machine: Machine
    checked: str
    runs: list[Run]

    @classmethod
    def now(cls, benchmark: str, rows: int, checked: str, runs: list[Run]) -> Result:
        """A result of this machine and this day."""
        return cls(benchmark, rows, f"{datetime.now(UTC):%Y-%m-%d}", machine.describe(), checked, runs)


def save(result: Result, folder: Path = RESULTS_DIR) -> Path:
    """Write the result, replacing an older one of the same benchmark and size; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.benchmark}-{result.rows}.json"
    path.write_text(json.dumps(asdict(result), indent=1) + "\n")
    return path


def load(path: Path) -> Result:
    """Read what `save` wrote."""
    found = json.loads(path.read_text())
    runs = [Run(**run) for run in found.pop("runs")]
    return Result(machine=Machine(**found.pop("machine")), runs=runs, **found)


def table(result: Result) -> str:
    """Render one result as a heading, a table of medians with ratios, and the facts a reader needs to judge them."""
    names = list(dict.fromkeys(run.contestant for run in result.runs))
    baseline = BASELINE if BASELINE in names else names[0]
    by_name = {name: [run for run in result.runs if run.contestant == name] for name in names}
    lines = [
        f"### {result.benchmark}, {_rows(result.rows)} raw rows",
        "",
        "| contestant | wall s | CPU s | peak memory MB | output MB | work s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_line(name, by_name[name], by_name[baseline]) for name in names),
        "",
        f"In brackets: times the value of {baseline}. Medians of {min(map(len, by_name.values()))} run(s).",
        _where(result),
        f"Checked: {result.checked}",
    ]
    return "\n".join(lines)


def refresh_readme(readme: Path = README, folder: Path = RESULTS_DIR) -> None:
    """Put the tables of all stored results between the two markers of the README; the text around them stays."""
    begin, end = "<!-- results: begin -->", "<!-- results: end -->"
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    results = sorted((load(path) for path in folder.glob("*.json")), key=lambda found: (found.benchmark, found.rows))
    tables = "\n\n".join(table(result) for result in results) or "No results recorded yet."
    readme.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}")


def _line(name: str, runs: Sequence[Run], baseline: Sequence[Run]) -> str:
    cells = [
        _cell([run.wall_s for run in runs], [run.wall_s for run in baseline], digits=1),
        _cell([run.cpu_s for run in runs], [run.cpu_s for run in baseline], digits=1),
        _cell([run.peak_rss_mb for run in runs], [run.peak_rss_mb for run in baseline], digits=0),
        _cell([run.output_mb for run in runs], [run.output_mb for run in baseline], digits=0),
        f"{median(run.work_s for run in runs):.1f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _cell(values: Sequence[float], baseline: Sequence[float], *, digits: int) -> str:
    value, reference = median(values), median(baseline)
    ratio = f"({value / reference:.2f}x)" if reference else "(-)"
    return f"{value:,.{digits}f} {ratio}"


def _where(result: Result) -> str:
    where = result.machine
    versions: dict[str, str] = {}
    for run in result.runs:
        versions |= run.versions
    tools = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    load = max(run.load_per_core_before for run in result.runs)
    return (
        f"{where.cpu}, {where.cores} cores, {where.memory_gib} GiB, {where.kernel}, Python {where.python}, "
        f"{tools}; {result.recorded_on}; highest load per core before a run {load:.2f}."
    )


def _rows(count: int) -> str:
    return f"{count / 1_000_000:g} M" if count >= 1_000_000 else f"{count / 1_000:g} k"
