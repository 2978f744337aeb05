"""Builds that were broken off: whoever is killed between a bucket and its verdict tells nobody of either."""

from collections.abc import Iterator

from seqplat_resources.batch.days.notes import BuildNotes
from seqplat_resources.health.unrecorded import Unrecorded
from seqplat_resources.release.runtime import Runtime

_LEDGER = "ledger"


def interrupted(runtime: Runtime) -> Iterator[Unrecorded]:
    """The days of builds whose process is gone, until a run of the asset takes note of them; one listing."""
    paths: dict[str, list[str]] = {}
    for item in runtime.home.objects.list(_LEDGER).collect():
        folder, _, name = item["path"].rpartition("/")
        if not name.endswith(".json"):  # those are days
            paths.setdefault(folder.removeprefix(f"{_LEDGER}/"), []).append(item["path"])
    for asset, notes in paths.items():
        for left in BuildNotes(runtime.home, asset, runtime.clock).broken_off(notes):
            yield Unrecorded(asset, tuple(sorted(left.days)), left.reason)
