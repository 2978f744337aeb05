"""The stream-throughput benchmark: fill a topic, run each contestant, check that all keep and show the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from benchmarks import contest, environments, kafka, messages, report, seqplat_stream
from benchmarks.contest import Command, Contestant, Preparation, WrongAnswerError
from benchmarks.messages import KEPT, KEPT_KINDS, VISIBLE

NAMES = ("seqplat-confluent", "seqplat-kafka-python", "quix", "quix-noop", "feast-push")
# Feast takes minutes for what the others do in seconds, so it gets fewer; rates are compared.
FEAST_MESSAGES = 50_000
AIMS = "aims: 120 k/s with confluent-kafka, 30 k/s with kafka-python, 5 times quix, 20 times feast-push"


def run(*, count: int, names: Sequence[str], repeat: int, cache: Path, results: Path, keep: bool = False) -> Path:
    """Measure the named contestants `repeat` times each and return the file with the result.

    Raises:
        WrongAnswerError: an output is not what the messages say; nothing is recorded then.
        CommandFailedError: a contestant failed. BrokerError: there is no Kafka and none can be started.
    """
    scratch = contest.scratch(cache)
    messages.ensure_items(scratch / "stream-items")
    with kafka.broker(scratch) as bootstrap:
        contestants = [_contestant(name, bootstrap, count, scratch) for name in names]
        runs = contest.measure_rounds(contestants, repeat=repeat)
    checked = _check(contestants, count)
    if not keep:
        contest.discard(contestants)
    return report.save(report.Result.now("stream-throughput", count, checked, runs), results)


def messages_of(name: str, count: int) -> int:
    """How many messages a contestant gets."""
    return min(count, FEAST_MESSAGES) if name.startswith("feast") else count


def _contestant(name: str, bootstrap: str, count: int, scratch: Path) -> Contestant:
    own = messages_of(name, count)
    topic = kafka.ensure_topic(bootstrap, own)
    items, out = scratch / "stream-items", scratch / "out" / name
    if name in seqplat_stream.LOGS:
        return _ours(name, bootstrap, topic, count, items, out)
    compared = out / "compared"
    reads = ("--bootstrap", bootstrap, "--topic", topic, "--items", str(items / messages.ITEMS_FILE))
    work = (*reads, "--below-kind", str(KEPT_KINDS), "--out", str(out / "written"))
    exporting = ("export", "--out", str(out / "written"), "--compared", str(compared))
    if name.startswith("quix"):
        peer = _peer(environments.QUIX, "peer_quix", scratch)
        sink = "none" if name == "quix-noop" else "store"
        command = (*peer, "run", *work, "--sink", sink, "--kept", str(messages.expected(own).rows))
        before: tuple[Command, ...] = ()
    else:
        peer = _peer(environments.FEAST, "peer_feast", scratch)
        command = (*peer, "run", *work, "--messages", str(own))
        before = ((*peer, "prepare", "--out", str(out / "written")),)
    return Contestant(
        name=name,
        command=command,
        reads=(items,),
        clears=(out,),
        output=out / "written",
        compared=compared,
        before=before,
        export=() if name == "quix-noop" else ((*peer, *exporting),),
        messages=own,
    )


def _ours(name: str, bootstrap: str, topic: str, count: int, items: Path, out: Path) -> Contestant:
    prepared, home = out.parent / "home-stream", out / "home"
    module = (sys.executable, "-m", "benchmarks.seqplat_stream")
    places = ("--home", str(home), "--sources", str(items))
    prepare = (*module, "prepare", "--home", str(prepared), "--sources", str(items), "--topic", topic)
    log = ("--bootstrap", bootstrap, "--log", seqplat_stream.LOGS[name], "--messages", str(count))
    return Contestant(
        name=name,
        command=(*module, "run", *places, *log),
        reads=(items,),
        clears=(out,),
        output=home / "lake",
        compared=out / "compared",
        prepare=Preparation(prepared, (prepare,)),
        before=((*module, "fresh", "--home", str(home), "--of", str(prepared)),),
        export=((*module, "export", *places, "--out", str(out / "compared")),),
        messages=count,
    )


def _peer(requirements: Sequence[str], module: str, scratch: Path) -> Command:
    python = environments.python_with(requirements, scratch)
    return (str(python), "-W", "ignore", "-m", f"benchmarks.{module}")


def _check(contestants: Sequence[Contestant], count: int) -> str:
    """What was verified, as a sentence."""
    for each in contestants:
        if not each.export:
            continue
        wanted = messages.expected(each.messages)
        shown = (wanted.users, wanted.newest_checksum) if each.name == "feast-push" else (wanted.rows, wanted.checksum)
        with contest.comparable(each) as files:
            found = [
                _differs("kept", files / KEPT, wanted.rows, wanted.checksum),
                _differs("visible", files / VISIBLE, *shown),
            ]
        if problems := [problem for problem in found if problem]:
            raise WrongAnswerError(contestant=each.name, found=problems, output=each.output)
    names, rows = [each.name for each in contestants], messages.expected(count).rows
    but = {
        "feast-push": f"of {messages_of('feast-push', count):,}, showing each user's newest",
        "quix-noop": "not looked at",
    }
    others = "; ".join(f"{name}: {how}" for name, how in but.items() if name in names)
    said = f"of {count:,} messages all keep and show the same {rows:,} events with the same categories"
    return f"{said}{f' ({others})' if others else ''}. {AIMS.capitalize()}."


def _differs(what: str, file: Path, rows: int, checksum: int) -> str | None:
    pairs = pl.read_parquet(file)
    if pairs.height != rows:
        return f"{what}: {pairs.height:,} events instead of {rows:,}"
    return None if messages.checksum(pairs) == checksum else f"{what}: other pairs of event and category"
