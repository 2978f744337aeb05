"""Versions of tables that training sets need again, kept from vacuum.

>>> from seqplat_resources.training.build import build
>>> from seqplat_resources.training.question import TrainingQuestion
>>> labels = pl.DataFrame({"user": ["ann"], "time": [dt.datetime(2024, 5, 2, tzinfo=dt.UTC)]})
>>> made = build(shop, TrainingQuestion("basket"), labels, folder / "set")
>>> found = pin_set(shop, "may", made.manifest, owner="ann")
>>> sorted(found.tables), held_bytes(shop, found)
(['lake/events/purchase'], 0)
"""

import datetime as dt

import polars as pl

from seqplat_resources.lake.table import LakeTable, VersionGone
from seqplat_resources.records.pins import Pins, VersionPin
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training.manifest import Manifest


def pin_set(
    runtime: Runtime, name: str, manifest: Manifest, *, owner: str, expires: dt.timedelta | None = None, note: str = ""
) -> VersionPin:
    """Pin what a training set was made of.

    Raises:
        VersionGone: some of it is not there any more; nothing is pinned.
        PinRefused: the name is taken.
    """
    tables = {table: version for table, version in manifest.inputs["tables"].items() if version >= 0}
    now = runtime.clock.now()
    expires_at = None if expires is None else now + expires
    pins, found = Pins(runtime.home, runtime.clock), VersionPin(name, tables, owner, now, expires_at, note)
    pins.put(found)
    try:  # looked at behind the record, which the next vacuum reads: what it deleted before is missed now
        for table, version in tables.items():
            LakeTable(runtime.home, table, ()).pinned(version).require_files()
    except VersionGone:
        pins.drop(name)
        raise
    return found


def held_bytes(runtime: Runtime, pin: VersionPin) -> int:
    """The bytes of its files that the newest versions do not have; of what cannot be read, none."""
    held = 0
    for name, version in pin.tables.items():
        table = LakeTable(runtime.home, name, ())
        try:
            files = table.pinned(version).files()
        except VersionGone:
            continue
        newest = table.files()["path"] if table.exists() else pl.Series([], dtype=pl.String)
        held += int(files.filter(~pl.col("path").is_in(newest.implode()))["bytes"].sum())
    return held
