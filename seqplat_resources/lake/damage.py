"""Find the damaged file of a Delta log: the library says what it stumbled over, but not in which file.

A commit that lost its content (the machine lost power) is worse: it reads as a commit of nothing, so it is looked for
whenever a table is opened.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping

import polars as pl
from obstore.exceptions import BaseError

from seqplat_resources.errors import Final
from seqplat_resources.home import Home

_COMMIT = re.compile(r"_delta_log/(\d{20})\.json$")
_CHECKPOINT = re.compile(r"_delta_log/(\d{20})\.checkpoint.*\.parquet$")
# What a commit is made of, and what must be in it for a reader to make sense of it.
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "add": ("path", "size", "partitionValues"),
    "remove": ("path",),
    "metaData": ("schemaString",),
    "txn": ("appId", "version"),
    **dict.fromkeys(("protocol", "commitInfo", "cdc", "domainMetadata", "checkpointMetadata", "sidecar"), ()),
}


class LogDamaged(Final):
    """A file of a table's log is not what was written; what the table holds cannot be known without it."""

    def __init__(self, table: str, path: str, why: str, fix: str) -> None:
        self.path, self.why, self.fix = path, why, fix
        super().__init__(f"{path} is damaged ({why}), so that nothing is known of {table.removeprefix('lake/')}; {fix}")


def refuse_emptied(home: Home, table: str, first: int, last: int) -> None:
    """
    Raises:
        LogDamaged: one of the commits ``first`` to ``last`` lost its content. Only a disk does that.
    """
    for number in range(first, last + 1) if home.is_local else ():
        path = f"{table}/_delta_log/{number:020}.json"
        try:
            if os.stat(home.uri(path)).st_size == 0:
                raise _damaged(home, table, path, "it is empty")
        except FileNotFoundError:
            continue  # before the checkpoint that the table was read from


def first_commit_read(home: Home, table: str) -> int:
    """The first commit that is read when a table is opened: the one after its newest checkpoint."""
    try:
        return int(json.loads(bytes(home.objects.get(f"{table}/_delta_log/_last_checkpoint").bytes()))["version"]) + 1
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def damaged_log(home: Home, table: str) -> LogDamaged | None:
    """What is wrong with the log of a table; None where every file of it can be read."""
    paths = sorted(item["path"] for item in home.objects.list(f"{table}/_delta_log").collect())
    commits = {int(found[1]): path for path in paths if (found := _COMMIT.search(path))}
    checkpoints = {int(found[1]): path for path in paths if (found := _CHECKPOINT.search(path))}
    whole = sorted(commits) == list(range(len(commits)))
    for number, path in checkpoints.items():
        if why := _checkpoint_damage(home, path):
            fix = f"delete it and _last_checkpoint beside it: all commits are there, and {number} is read from them"
            return _damaged(home, table, path, why, fix if whole else None)
    hint = first_commit_read(home, table) - 1
    if hint >= 0 and hint not in checkpoints:
        path = f"{table}/_delta_log/_last_checkpoint"
        fix = "delete it: all commits are there, and the table is read from them"
        return _damaged(home, table, path, f"the checkpoint {hint} that it names is not there", fix if whole else None)
    first = max(checkpoints, default=-1) + 1
    for number in range(first, max(commits, default=-1) + 1):
        path = commits.get(number, f"{table}/_delta_log/{number:020}.json")
        if why := _commit_damage(home, path):
            return _damaged(home, table, path, why)
    return None


def _damaged(home: Home, table: str, path: str, why: str, fix: str | None = None) -> LogDamaged:
    return LogDamaged(table, home.uri(path), why, fix or way_out(home, table))


def way_out(home: Home, table: str) -> str:
    """What to do about a table of which a commit is lost."""
    return f"restore it from a backup, or else move {home.uri(table)} away and {_again(table)}"


def _again(table: str) -> str:
    _, layer, *name = table.split("/")
    if layer in ("archive", "served"):
        return "run `seqplat stream`, which reads again what the topic still has"
    if layer == "rejects":
        return "build the days of its source again with `seqplat materialize`"
    if layer == "superseded":
        layer = "events"
    return f"build it again with `seqplat materialize FIRST_DAY LAST_DAY {layer}/{'/'.join(name)}`"


def _checkpoint_damage(home: Home, path: str) -> str | None:
    try:
        pl.read_parquet(home.uri(path), storage_options=home.storage_options or None)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of Polars is no Exception
        return str(error).partition("\n")[0][:200]
    return None


def _commit_damage(home: Home, path: str) -> str | None:
    try:
        data = bytes(home.objects.get(path).bytes())
    except FileNotFoundError:
        return "it is not there"
    except (OSError, BaseError) as error:
        return str(error).partition("\n")[0]
    return next(_findings(data), None) if data.strip() else "it is empty"


def _findings(data: bytes) -> Iterator[str]:
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            action = json.loads(line)
        except ValueError as error:
            yield f"line {number}: {error}"
            return
        if not isinstance(action, dict) or not action.keys() <= _ACTIONS.keys():
            yield f"line {number} is no action of a commit"
        elif wrong := [name for name, of in action.items() if not isinstance(of, dict)]:
            yield f"line {number}: {wrong[0]} has no fields"
        elif lacking := [f"{name}.{key}" for name, of in action.items() for key in _ACTIONS[name] if key not in of]:
            yield f"line {number} lacks {lacking[0]}"
