"""Days of training sets that are defined: folders ``training/<name>/<day>`` of the home, each whole or not there.

>>> Sets(shop.home, "buyers").days()
{}
"""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

from seqplat_resources.batch.inputs.spans import marked
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import TRAINING

# What says of a folder that it is a training set, and a whole one.
MANIFEST = "manifest.json"


class SetsAreFolders(Final):
    """Training sets are folders of files, and the home is an object store."""


@dataclass(frozen=True)
class Sets:
    """The days of one training set."""

    home: Home
    name: str

    def place(self, day: dt.date) -> Path:
        """Where the set of a day is, or will be.

        Raises:
            SetsAreFolders: nowhere.
        """
        if not self.home.is_local:
            raise SetsAreFolders(
                f"training sets are folders of files, and the home {self.home.root} is an object store; "
                "make the set with seqplat training-set SEQUENCE LABELS OUT"
            )
        return self._folder / str(day)

    def days(self) -> dict[dt.date, Path]:
        """Those that are there, oldest first; what a run that was killed left is none."""
        if not self.home.is_local or not self._folder.is_dir():
            return {}
        found = {_day_of(each): each for each in self._folder.iterdir() if (each / MANIFEST).is_file()}
        return {day: found[day] for day in sorted(day for day in found if day is not None)}

    def marks(self) -> dict[dt.date, int]:
        """By day, a number that is another one where the set was made anew."""
        return {day: marked([(at / MANIFEST).read_text(errors="replace")]) for day, at in self.days().items()}

    def rows(self) -> dict[dt.date, int]:
        """By day, how many labels it has; of one whose manifest cannot be read, nothing."""
        found = {day: _rows_of(at / MANIFEST) for day, at in self.days().items()}
        return {day: rows for day, rows in found.items() if rows is not None}

    @property
    def _folder(self) -> Path:
        return Path(self.home.root) / TRAINING / self.name


def _rows_of(manifest: Path) -> int | None:
    try:
        return sum(int(shard["rows"]) for shard in json.loads(manifest.read_bytes())["shards"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _day_of(folder: Path) -> dt.date | None:
    try:
        day = dt.date.fromisoformat(folder.name)
    except ValueError:
        return None
    return day if str(day) == folder.name else None  # 20240501 is a day, too, and no set of ours
