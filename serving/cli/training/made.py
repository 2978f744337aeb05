"""``seqplat labels``: a file of labels, made of what users did."""

import datetime as dt
import json
import re

import click

from seqplat_resources.commands import command
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.times import midnight
from seqplat_resources.training.outcomes.definition import Anchors, LabelOutcome, Negatives
from seqplat_resources.training.outcomes.labels import MadeLabels, make
from seqplat_resources.whole_files import written_whole
from serving.cli.durations import Day, Duration
from serving.cli.output import console, quoted, suggest
from serving.cli.training.sizes import MemorySize

_OUTCOME = re.compile(
    r"(?P<name>\w+)=(?P<measure>did|count|sum|time_to):(?P<of>\w+)(?:\.(?P<column>\w+))?:(?P<within>\w+)(?::(?P<where>.+))?",
    re.DOTALL,
)


class OutcomeText(click.ParamType[LabelOutcome]):
    """``bought=did:purchase:7d``."""

    name = "outcome"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> LabelOutcome:
        if isinstance(value, LabelOutcome):
            return value
        if (found := _OUTCOME.fullmatch(str(value))) is None:
            self.fail(
                f"{str(value)[:80]!r} is no outcome; write NAME=did|count|time_to:EVENTS:SPAN or "
                "NAME=sum:EVENTS.COLUMN:SPAN, with :CONDITION behind it where one is wanted",
                param,
                ctx,
            )
        within = Duration().convert(found["within"], param, ctx)
        return LabelOutcome(found["name"], found["measure"], found["of"], within, found["column"] or "", found["where"])  # type: ignore[arg-type]


@click.command()
@click.argument("out", type=click.Path(dir_okay=False))
@click.option("--anchors", "of", required=True, metavar="EVENTS", help="Event type, or sessions_NAME: their starts.")
@click.option("--where", metavar="SQL", help="Only events of this kind.")
@click.option("--every", type=Duration(), help="Instead of events, a moment every so often from each user's first on.")
@click.option("--since", type=Day(), help="First day of moments (UTC).")
@click.option("--until", type=Day(), help="Day that moments end before (UTC).")
@click.option(
    "--outcome", "outcomes", multiple=True, required=True, type=OutcomeText(), metavar="NAME=WHAT:EVENTS:SPAN"
)
@click.option("--negatives", metavar="OUTCOME:CAP", help="Keep at most CAP labels a user of which this is nothing.")
@click.option("--seed", default=0, show_default=True, help="Of which of these are kept.")
@click.option("--keep-censored", is_flag=True, help="Keep, flagged, labels of which nobody knows yet what followed.")
@click.option("--cutoff", type=Day(), help="Know only what happened before this day (UTC).")
@click.option("--memory", default="2GB", show_default=True, type=MemorySize(), help="For events, about.")
def labels(
    out: str,
    of: str,
    where: str | None,
    every: dt.timedelta | None,
    since: dt.date | None,
    until: dt.date | None,
    outcomes: tuple[LabelOutcome, ...],
    negatives: str | None,
    seed: int,
    keep_censored: bool,
    cutoff: dt.date | None,
    memory: int,
) -> None:
    """Write labels to OUT (Parquet): a user, a moment, and what the user did after it.

    --outcome bought=did:purchase:7d asks whether there was a purchase within 7 days; spent=sum:purchase.amount:30d adds
    up; n=count:purchase:1d counts; wait=time_to:purchase:30d gives seconds. A condition may follow:
    tea=did:purchase:7d:product = 'tea'.
    """
    capped = None
    if negatives is not None:
        name, _, cap = negatives.rpartition(":")
        if not name or not cap.isascii() or not cap.isdigit():
            raise click.BadParameter(
                f"{negatives[:80]!r} is not OUTCOME:CAP, such as bought:3", param_hint="--negatives"
            )
        capped = Negatives(name, int(cap), seed)
    made = make(
        Runtime.from_environment(),
        Anchors(of, where, every, _begin(since), _begin(until)),
        outcomes,
        negatives=capped,
        on_censored="keep" if keep_censored else "drop",
        cutoff=_begin(cutoff),
        memory_bytes=memory,
    )
    _write(made, out)
    console.print(f"wrote {made.rows.height:,} label(s) to {quoted(out)}", soft_wrap=True)
    console.print(
        f"[dim]of {made.counts['moments']:,} moments {made.counts['censored']:,} are censored at "
        f"{made.cutoff:%Y-%m-%d %H:%M} UTC and {'kept' if keep_censored else 'dropped'}, "
        f"{made.counts['negatives left out']:,} negatives left out[/dim]",
        soft_wrap=True,
    )
    suggest(command("training-set", "SEQUENCE", out, "FOLDER"))


def _begin(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else midnight(day)


def _write(made: MadeLabels, out: str) -> None:
    """There whole or not at all; what they were made of stands in the file's metadata."""
    said = {"counts": dict(made.counts), "cutoff": made.cutoff.isoformat(), "versions": dict(made.versions)}
    with written_whole(out) as draft:
        made.rows.write_parquet(draft, metadata={"seqplat.labels": json.dumps(said, sort_keys=True)})
