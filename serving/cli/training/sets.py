"""``seqplat training-set``: labels and a sequence to a folder of Parquet, with a bar, and what was made and refused.

>>> from click.testing import CliRunner
>>> CliRunner().invoke(training_set, ["basket", "labels.csv", "set", "--memory", "lots"]).output.splitlines()[-1]
"Error: Invalid value for '--memory': 'lots' is no amount of memory; write 2GB or 512MB"
"""

import datetime as dt
import sys
from collections.abc import Callable, Collection, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from seqplat_resources.commands import command
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.training.answered.match import AnswerMatch
from seqplat_resources.training.build import BuiltSet, TrainingLimits, TrainingProgress, build
from seqplat_resources.training.daily import DailySet
from seqplat_resources.training.given.labels import LabelColumns, LabelPolicy, OnBad, OnOdd
from seqplat_resources.training.given.split import SPLIT, LabelSplit
from seqplat_resources.training.manifest import Manifest, NoTrainingSet
from seqplat_resources.training.question import FORMS, MODES, TrainingQuestion
from serving.cli.durations import Day, Duration
from serving.cli.output import console, quoted, size, suggest, table
from serving.cli.training.sizes import MemorySize

_LIMITS, _MATCH = TrainingLimits(), AnswerMatch()


@click.command(name="training-set")
@click.argument("sequence")
@click.argument("labels", type=click.Path(path_type=Path), required=False)
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--mode", type=click.Choice(MODES), default="as_known", show_default=True)
@click.option("--user", default="user", show_default=True, help="The labels' column of users.")
@click.option("--time", default="time", show_default=True, help="The labels' column of times.")
@click.option("--columns", help="Comma-separated columns of the sequence; all if not given.")
@click.option("--length", type=click.IntRange(min=1), help="Newest events of a label; at most the sequence's length.")
@click.option("--where", help="An SQL condition on events.")
@click.option("--event-types", help="Comma-separated; all of the sequence if not given.")
@click.option(
    "--embargo", type=Duration(), default=dt.timedelta(), help="Stop so long before a label's time: 30m, 24h."
)
@click.option("--inclusive", is_flag=True, help="With events at the very time of a label.")
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="lists",
    show_default=True,
    help="Lists of events beside labels; or pointers to events that are stored once, for long sequences.",
)
@click.option("--split", help="Parts of the labels, by user, in a column `split`: train=0.8,valid=0.1,test=0.1.")
@click.option("--split-seed", type=int, default=0, show_default=True, help="Another seed puts users in other parts.")
@click.option("--prefix", default="", help="Before the names of the sequence's columns.")
@click.option("--pii", "pii", multiple=True, metavar="COLUMN", help="With this column of personal data; * for all.")
@click.option("--on-bad", type=click.Choice(get_args(OnBad)), default="refuse", show_default=True)
@click.option("--on-duplicate", type=click.Choice(get_args(OnOdd)), default="keep", show_default=True)
@click.option("--on-unknown", type=click.Choice(get_args(OnOdd)), default="keep", show_default=True)
@click.option("--request", help="as_served: the labels' column of request ids; request_id where there is one.")
@click.option(
    "--within",
    type=Duration(),
    default=_MATCH.within,
    help="as_served, labels without request ids: the newest answer so long before a label's time. 1h if not given.",
)
@click.option(
    "--on-unserved",
    type=click.Choice(get_args(OnOdd)),
    default=_MATCH.on_unserved,
    show_default=True,
    help="as_served: labels without a recorded answer.",
)
@click.option("--assume-utc", is_flag=True, help="Read label times without a zone as UTC.")
@click.option("--memory", type=MemorySize(), default=_LIMITS.memory_bytes, help="Of this process, about: 2GB.")
@click.option("--row-group", type=MemorySize(), default=_LIMITS.row_group_bytes, help="Of a row group when read: 64MB.")
@click.option(
    "--from", "manifest", type=click.Path(path_type=Path), help="Make this set (or manifest) again, byte by byte."
)
@click.option("--replace", is_flag=True, help="Replace a training set in OUT that was made of something else.")
@click.option("--day", "days", type=Day(), multiple=True, help="Of a defined set: this day; all that lack without.")
def training_set(
    sequence: str,
    labels: Path | None,
    out: Path | None,
    mode: Any,
    user: str,
    time: str,
    columns: str | None,
    length: int | None,
    where: str | None,
    event_types: str | None,
    embargo: dt.timedelta,
    inclusive: bool,
    form: Any,
    split: str | None,
    split_seed: int,
    prefix: str,
    pii: tuple[str, ...],
    on_bad: Any,
    on_duplicate: Any,
    on_unknown: Any,
    request: str | None,
    within: dt.timedelta,
    on_unserved: Any,
    assume_utc: bool,
    memory: int,
    row_group: int,
    manifest: Path | None,
    replace: bool,
    days: tuple[dt.date, ...],
) -> None:
    """Join LABELS (Parquet, CSV or a Delta table) with SEQUENCE, each label as of its own time, into the folder OUT.

    as_known shows a label the events that happened before its time and were known then, in the revision of then;
    as_corrected what is known of them today; as_served what the API answered, where answers are recorded: that of the
    label's request, or the newest before its time. OUT is there once all of it is. The same command again goes on where
    a run was killed, and makes the same bytes. --from asks what another set asked, of the tables as they were then.

    With a name alone, the training set that is defined by it (TrainingSet) gets the days it lacks whose outcomes are
    known, or those of --day, below training/NAME in the home.
    """
    if labels is None or out is None:
        if labels is not None:
            raise click.UsageError("give SEQUENCE LABELS OUT, or the name of a defined training set alone")
        require_alone(click.get_current_context(), {"days", "replace", "memory", "row_group"})
        make_days(sequence, days, TrainingLimits(memory, row_group), replace=replace)
        return
    if days:
        raise click.UsageError("--day is of a defined training set, which takes neither LABELS nor OUT")
    query = Query(named(columns), length, where=where, event_types=named(event_types))
    question = TrainingQuestion(sequence, mode, embargo, inclusive, query)
    policy, names = LabelPolicy(on_bad, on_duplicate, on_unknown, assume_utc), LabelColumns(user, time)
    match = AnswerMatch(request, within, on_unserved)
    parts = LabelSplit.parsed(split, split_seed) if split is not None else None
    if parts is None and click.get_current_context().get_parameter_source("split_seed") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--split-seed says nothing without --split")
    limits, runtime, again = TrainingLimits(memory, row_group), Runtime.from_environment(), None
    if manifest is not None:
        require_alone(click.get_current_context(), {"manifest", "replace"})
        again = Manifest.read(manifest)
        said = again.inputs
        try:
            question, prefix, pii = TrainingQuestion.of(said["question"]), said["prefix"], tuple(said["pii"])
            policy, names = LabelPolicy(**said["labels"]["policy"]), LabelColumns(**said["labels"]["columns"])
            limits, form = TrainingLimits(**said["limits"]), said.get("form", "lists")
            match = AnswerMatch.of(said["answers"]) if "answers" in said else match
            parts = LabelSplit.heard(said[SPLIT]) if SPLIT in said else None
        except (KeyError, TypeError, ValueError) as error:
            raise NoTrainingSet(f"{manifest} asks what this version does not know ({error})") from error
        if question.sequence != sequence:
            raise click.UsageError(f"{manifest} is of sequence {question.sequence!r}, not of {sequence!r}")
        runtime = replaced(runtime, loaded=ReleaseStore(runtime.home).get(said["release"]))
    with bar() as progress:
        made = build(
            runtime,
            question,
            labels,
            out,
            columns=names,
            policy=policy,
            limits=limits,
            prefix=prefix,
            pii=pii,
            form=form,
            split=parts,
            replace=replace,
            again=again,
            match=match,
            progress=progress,
        )
    show(made)


def require_alone(context: click.Context, beside: Set[str]) -> None:
    """No flag but those may be said: the others are what the other set, or the definition, says already.

    Raises:
        UsageError: one was.
    """
    flags = [each for each in context.command.params if each.name not in {*beside, "sequence", "labels", "out"}]
    said = [
        each.opts[0] for each in flags if context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    ]
    if said:
        what = "--from asks what that set asked" if "manifest" in beside else "the definition says what is asked"
        raise click.UsageError(f"{what}; leave out {', '.join(said)}")


def make_days(name: str, days: Collection[dt.date], limits: TrainingLimits, *, replace: bool) -> None:
    """Days of a defined training set, oldest first: those, or all that are over and lack."""
    found = DailySet.of(Runtime.from_environment(), name)
    there = found.made()
    wanted = sorted(days) or [day for day in found.over() if day not in there]
    if not wanted:
        console.print(f"training set {quoted(name)} has all days that are over: {len(there):,}", soft_wrap=True)
        return
    for day in wanted:
        made, moved = found.make(day, replace=replace, limits=limits)
        rows, values = (sum(getattr(each, what) for each in made.manifest.shards) for what in ("rows", "values"))
        state = "made again" if moved else "made" if made.is_new else "is there already"
        console.print(f"{day} {state}: {rows:,} labels, {values:,} events, {made.manifest.facts['empty']:,} without")
        for each in moved:
            console.print(f"  [yellow]moved:[/yellow] {quoted(each)}", soft_wrap=True)
    suggest(f"python -c \"import polars as pl; print(pl.read_parquet('{found.place(wanted[-1])}/*.parquet'))\"")


def named(text: str | None) -> list[str] | None:
    """Names between commas."""
    return [name.strip() for name in text.split(",")] if text else None


def show(made: BuiltSet, again: str = "") -> None:
    """What was made and refused, and what to do with it; ``again`` is the command that asks for what is known today."""
    shards, facts = made.manifest.shards, made.manifest.facts
    if not made.is_new:
        console.print(f"{quoted(made.out)} is this training set already; nothing was made", soft_wrap=True)
    rows, values = sum(shard.rows for shard in shards), sum(shard.values for shard in shards)
    question = made.manifest.inputs["question"]
    table(
        f"training set {question['sequence']} {question['mode']}",
        ["labels", "events", "without events", "files", "bytes"],
        [
            (
                f"{rows:,}",
                f"{values:,}",
                f"{facts['empty']:,}",
                len(shards),
                size(sum(s.bytes + s.events_bytes for s in shards)),
            )
        ],
        right=["labels", "events", "without events", "files", "bytes"],
    )
    if made.reused:
        console.print(f"{made.reused} file(s) were finished by a run before")
    for what, count in facts["labels"]["counts"].items():
        console.print(f"[yellow]labels {quoted(what)}:[/yellow] {count:,} of {facts['labels']['given']:,}")
    if SPLIT in facts:
        console.print("split: " + quoted(", ".join(f"{name} {count:,}" for name, count in facts[SPLIT].items())))
    if left_out := facts["labels"]["given"] - facts["labels"]["kept"]:
        console.print(f"[yellow]labels left out:[/yellow] {left_out:,}")
    if gone := facts.get("gone"):
        console.print(
            f"[yellow]not in the lake:[/yellow] {gone:,} event(s) that answers had; their days are not built, or have "
            f"other revisions of them; `{command('skew', question['sequence'])}` says which",
            soft_wrap=True,
        )
    if dropped := facts.get("dropped"):
        console.print(f"[yellow]lost:[/yellow] {dropped:,} answer(s) that the API could not record")
    for name, lacking in facts.get("not_built", {}).items():
        console.print(
            f"[yellow]not built:[/yellow] {lacking['days']:,} day(s) of {quoted(name)} that labels reach, "
            f"{lacking['first']} to {lacking['last']}; no label has events of them",
            soft_wrap=True,
        )
    if rows and facts["empty"] == rows and question["mode"] == "as_known":
        console.print(
            "[yellow]no label has events:[/yellow] what was imported later than the labels' times was not known then"
        )
        suggest(again or command("training-set", question["sequence"], "LABELS", "OUT", mode="as_corrected"))
        return
    if facts.get("pointers"):
        load = f"print(TrainingFiles('{made.out}').examples([0]).frame())"
        suggest(f'python -c "from serving.client.training.files import TrainingFiles; {load}"')
        return
    suggest(f"python -c \"import polars as pl; print(pl.read_parquet('{made.out}/*.parquet'))\"")


@contextmanager
def bar() -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar on a terminal; elsewhere a line for each file."""
    if not sys.stdout.isatty():
        yield lambda at: console.print(
            f"file {at.shard}/{at.shards}: {at.done:,}/{at.labels:,} labels, {at.values:,} events", markup=False
        )
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[events]} events"), console=console) as shown:
        task = shown.add_task("labels", total=None, events="0")
        yield lambda at: shown.update(task, completed=at.done, total=at.labels, events=f"{at.values:,}")
