"""``seqplat test``: cases of definitions, in this process, without a service."""

import datetime as dt
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from seqplat_resources.cases.definitions import trial_of
from seqplat_resources.cases.reading import SUFFIXES, CaseInvalid, Row, RowCase, cases_of, files_of
from seqplat_resources.cases.snapshot import Snapped, named_by, updated
from seqplat_resources.cases.trial import CaseNotRun, Rows, Trial, TrialResult
from seqplat_resources.cases.verdict import CaseDifference, UnknownExpected, differences, shown_rows
from seqplat_resources.shown_text import plain
from sequence_defs.schema import Column
from serving.cli.output import console, suggest, table


@dataclass(frozen=True)
class _Run:
    """A case with what came of it: ``problem`` where it could not be run, ``found`` where it is not as it says."""

    case: RowCase
    problem: str = ""
    found: tuple[CaseDifference, ...] = ()
    rows: tuple[Row, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.problem and not self.found and self.case.events is not None


@click.command("test")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--update", is_flag=True, help="Write what comes out into the cases where they say nothing or otherwise.")
@click.option("-k", "pattern", default="", help="Only cases whose name has this in it.")
def test(path: Path | None, update: bool, pattern: str) -> None:
    """Run cases: rows in, events or a sequence out, by the engine itself, in this process.

    PATH is a file of cases (NAME.test.yaml) or a folder; by default the folder of definitions. Ends with 1 where a case
    is not as it says, and with 2 where cases or definitions cannot be read.
    """
    started = time.perf_counter()
    target = os.environ.get("SEQPLAT_DEFINITIONS", "definitions")
    files = files_of(path or Path(target)) if (path or Path(target)).exists() else []
    if path is not None and not path.exists():
        raise click.UsageError(f"{path} is not there; name a file of cases (NAME{SUFFIXES[0]}) or a folder of them")
    try:
        cases = [case for file in files for case in cases_of(file)]
        if not cases:
            console.print(
                f"no cases in {plain(str(path or target))}: write some in NAME{SUFFIXES[0]} beside a definition"
            )
            return
        trial = trial_of(target, Path.cwd())
    except (CaseInvalid, CaseNotRun) as error:
        click.secho(plain(str(error)), fg="red", err=True)
        sys.exit(2)
    chosen = [case for case in cases if pattern in case.name]
    at = _at_times(trial, chosen)
    runs = [_tried(at[case.now], case) for case in chosen]
    for run in runs:
        _show(run)
    written = _write(runs) if update else 0
    failed = sum(not run.passed for run in runs) - written
    seconds = time.perf_counter() - started
    console.print(
        f"{len(runs) - failed} passed, {failed} failed in {seconds:.2f} s" + (f", {written} written" * bool(written))
    )
    if failed:
        if not update and any(run.found or run.case.events is None for run in runs):
            suggest("seqplat test --update   # if what comes out is right")
        sys.exit(1)


def _at_times(trial: Trial, cases: Sequence[RowCase]) -> dict[dt.datetime | None, Trial]:
    """Definitions at the times of the cases, with the rows of all cases of a time decoded."""
    found = dict[dt.datetime | None, Trial]()
    for now in dict.fromkeys(case.now for case in cases):
        rows = defaultdict[str, list[Rows]](list)
        for case in cases:
            for source, of_case in trial.rows_by_source(case.event_type, case.rows).items() if case.now == now else ():
                rows[source].append(of_case)
        found[now] = (trial.at(now) if now else trial).having_decoded(rows)
    return found


def _tried(trial: Trial, case: RowCase) -> _Run:
    try:
        made, columns = _made(trial, case)
        rows = shown_rows(made.events, columns)
        found = () if case.events is None else tuple(differences(case, made, rows))
    except (CaseNotRun, UnknownExpected, ValueError) as error:
        return _Run(case, problem=str(error))
    return _Run(case, "", found, tuple(rows), tuple(made.rejects["reason"]))


def _made(trial: Trial, case: RowCase) -> tuple[TrialResult, dict[str, Column]]:
    if case.sequence:
        return trial.sequence(case.sequence, case.user, case.rows, case.enrichments, case.limit), {}
    made = trial.events(case.event_type, case.rows[""], case.enrichments)
    return made, trial.columns(case.event_type)


def _show(run: _Run) -> None:
    case = run.case
    console.print(f"{'[green]ok[/green]  ' if run.passed else '[red]FAIL[/red]'} ", end="")
    console.print(f"{case.where}  {plain(case.name)}", markup=False, soft_wrap=True)
    if run.problem:
        console.print(f"     {plain(run.problem)}", markup=False, soft_wrap=True)
    elif case.events is None:
        console.print(f"     events: says nothing; {len(run.rows)} event(s) came out", markup=False)
    elif run.found:
        rows = [(each.place, each.column, each.expected, each.got) for each in run.found]
        table("", ("", "column", "expected", "got"), rows)


def _write(runs: list[_Run]) -> int:
    """How many cases were written."""
    by_file: defaultdict[str, dict[int, Snapped]] = defaultdict(dict)
    for number, run in _numbered(runs):
        if not run.passed and not run.problem:
            events = [{name: row[name] for name in named_by(run.case.events, row)} for row in run.rows]
            by_file[run.case.file][number] = Snapped(events, run.reasons)
    for file, outcomes in by_file.items():
        Path(file).write_text(updated(Path(file).read_text("utf-8"), outcomes), "utf-8")
    return sum(map(len, by_file.values()))


def _numbered(runs: list[_Run]) -> Iterator[tuple[int, _Run]]:
    """Each with its number in its file; a pattern may have left out others."""
    for run in runs:
        lines = [case.line for case in cases_of(Path(run.case.file))]
        yield lines.index(run.case.line), run
