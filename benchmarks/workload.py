"""The day build every contestant does, as facts: paths, keys, filter and the exact columns of the answer.

Standard library only: the Spark peer imports it inside an environment that holds nothing but PySpark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

DAY = datetime(2026, 1, 15)  # naive UTC, like every timestamp of the workload
THREADS = 2  # for every contestant; the machine the published numbers come from has two cores

NATURAL_KEY = ("session_id", "item_id", "event_seq")
RAW_COLUMNS = (
    "user_id",
    "item_id",
    "session_id",
    "event_seq",
    "event_ts",
    "ingest_ts",
    "kind",
    "price",
    "quantity",
    "surface",
)
KIND_COUNT = 10
KEPT_KINDS = 8  # the filter keeps kind < 8 of 0..9, four rows in five
VERSION_COLUMNS = ("category", "brand", "list_price")
EMBEDDING_WIDTH = 32

# The answer, in this order, sorted by (user_id, event_ts). `amount` is price * quantity.
OUTPUT_COLUMNS = (*RAW_COLUMNS, *VERSION_COLUMNS, "amount", "embedding")


@dataclass(frozen=True)
class DayInput:
    """Where one generated day lies: `raw/*.parquet`, two lookup tables and a manifest, all below `root`."""

    root: Path

    @property
    def raw_dir(self) -> Path:
        return self.root / "raw"

    @property
    def raw_glob(self) -> str:
        return str(self.raw_dir / "*.parquet")

    @property
    def versions(self) -> Path:
        return self.root / "item_versions.parquet"

    @property
    def embeddings(self) -> Path:
        return self.root / "item_embeddings.parquet"

    @property
    def files(self) -> tuple[Path, ...]:
        """All input of a day build, files and folders."""
        return (self.raw_dir, self.versions, self.embeddings)

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"
