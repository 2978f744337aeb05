"""What a run was planned with: its snapshot, made where it was launched, says so; the process may be newer.

A process that a code location starts builds what the location showed (``definitions.py``). A run that waited in the
queue while the location was reloaded, or is started elsewhere, may meet another definition: it refuses.
"""

from collections.abc import Mapping
from functools import lru_cache

import dagster as dg

from seqplat_resources.errors import Final

RELEASE, DEFINITION = "seqplat/release", "seqplat/definition"


class PlannedOtherwise(Final):
    """A run that was planned with another definition than the one that is here."""


def tags_of(release: str, definition: str | None) -> dict[str, str]:
    """What the step of an asset says of itself."""
    return {RELEASE: release[:12], DEFINITION: definition or ""}


def require_planned(context: dg.AssetExecutionContext, asset: str, *, is_there: bool = True) -> None:
    """
    Raises:
        PlannedOtherwise: the definition of the asset is another one by now, or not there any more.
    """
    op = context.op_execution_context.op_def
    planned = _planned(context.instance, context.run.job_snapshot_id or "").get(op.name, {})
    if is_there and planned.get(DEFINITION, op.tags.get(DEFINITION)) == op.tags.get(DEFINITION):
        return
    what = "changed" if is_there else "removed"
    raise PlannedOtherwise(
        f"{asset} was {what} after this run was planned with release {planned.get(RELEASE, 'unknown')}; nothing was "
        "built. Reload the code location and launch what it shows"
    )


@lru_cache(maxsize=2)
def _planned(instance: dg.DagsterInstance, snapshot: str) -> Mapping[str, Mapping[str, str]]:
    """What the steps of a run said of themselves, by name; nothing where the run has no snapshot."""
    if not snapshot or not instance.has_job_snapshot(snapshot):
        return {}
    return {op.name: op.tags for op in instance.get_job_snapshot(snapshot).node_defs_snapshot.op_def_snaps}
