"""What a training set was made of, beside its files: enough to make it again, byte by byte, or to say what moved.

>>> Manifest({"release": "a", "tables": {"lake/events/click": 3}}, [], {}).moved(
...     {"release": "a", "tables": {"lake/events/click": 4}}
... )
['tables.lake/events/click: 3, now 4']
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqplat_resources.batch.inputs.sets import MANIFEST
from seqplat_resources.errors import Final

FORMAT = 1
# Of a label that points to its events: the first of them, the first behind them, and which of those between are not.
FIRST, STOP, WITHOUT = POINTERS = ("_first", "_stop", "_without")


class NoTrainingSet(Final):
    """A folder or file that is no training set, or not a whole one."""


class ShardCounts(NamedTuple):
    """Labels of a file, events in their lists (or rows that events are together), and labels without any; events that
    recorded answers had and tables have not; and labels with too many events to put together, so that their last rows
    may lack some.
    """

    rows: int
    values: int
    empty: int
    gone: int = 0
    bounded: int = 0

    @classmethod
    def of(cls, counts: npt.NDArray[np.int64], bounded: int = 0) -> "ShardCounts":
        """Of how many values each label has."""
        return cls(counts.size, int(counts.sum()), int((counts == 0).sum()), bounded=bounded)

    def and_then(self, more: "ShardCounts") -> "ShardCounts":
        return ShardCounts(*(one + other for one, other in zip(self, more, strict=True)))


@dataclass(frozen=True)
class Shard:
    """One file of labels; the counts are those of ``ShardCounts``, and ``sha256`` is of its bytes. Labels that point to
    their events have these in the file ``events``.
    """

    file: str
    rows: int
    values: int
    empty: int
    bytes: int
    sha256: str
    events: str = ""
    events_bytes: int = 0
    events_sha256: str = ""
    gone: int = 0
    bounded: int = 0


@dataclass(frozen=True)
class Manifest:
    """``inputs`` are all that decides the files' bytes; ``facts`` are what is worth knowing besides."""

    inputs: Mapping[str, Any]
    shards: Sequence[Shard]
    facts: Mapping[str, Any]

    def dump(self) -> bytes:
        said = {
            "format": FORMAT,
            "inputs": self.inputs,
            "shards": [asdict(s) for s in self.shards],
            "facts": self.facts,
        }
        return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def read(cls, place: Path) -> "Manifest":
        """Of a training set's folder, or of its manifest.

        Raises:
            NoTrainingSet: there is none.
        """
        path = place / MANIFEST if place.is_dir() else place
        try:
            said = json.loads(path.read_bytes())
            if said["format"] != FORMAT:
                raise NoTrainingSet(f"{path} is of format {said['format']}, and this version reads format {FORMAT}")
            return cls(said["inputs"], [Shard(**each) for each in said["shards"]], said["facts"])
        except FileNotFoundError:
            raise NoTrainingSet(f"{path} is not there; a training set has a {MANIFEST} once it is whole") from None
        except (ValueError, KeyError, TypeError) as error:
            raise NoTrainingSet(f"{path} is no manifest of a training set ({error})") from error

    def moved(self, inputs: Mapping[str, Any]) -> list[str]:
        """What is not as it was, each as a line; empty where the same bytes would be made."""
        return list(_differences("", self.inputs, inputs))


def _differences(at: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            yield from _differences(f"{at}.{key}".lstrip("."), before.get(key), now.get(key))
    elif before != now:
        yield f"{at}: {before}, now {now}"
