"""The release that the code location shows, as an asset of its own: when it changed, by whom, to what."""

import dagster as dg

from seqplat_assets.describe.keys import RELEASE, key_of
from seqplat_resources.errors import SeqplatError
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.store import ChannelMove, ReleaseStore


def release_spec(runtime: Runtime) -> dg.AssetSpec:
    """One materialization per release that the location ever showed."""
    return dg.AssetSpec(
        _key(runtime),
        description=f"The release that this code location shows and builds: that of channel `{runtime.channel}`. "
        "`seqplat code-server` loads the location anew when the channel moves.",
        group_name="platform",
        kinds={"release"},
        metadata={"release": runtime.loaded.id[:12]},
    )


def note_release(runtime: Runtime, instance: dg.DagsterInstance) -> str:
    """Tell Dagster once what the location shows; and in words, if the channel is elsewhere by now.

    A channel that cannot be read is no reason to say anything: whoever moves it is told.
    """
    try:
        moves = ReleaseStore(runtime.home).history(runtime.channel)
    except (SeqplatError, OSError, ValueError, KeyError):
        return ""
    mine = next((move for move in moves if move.release == runtime.loaded.id), None)
    if mine is not None and _recorded_release(instance, runtime) != runtime.loaded.id[:12]:
        instance.report_runless_asset_event(_event(runtime, mine))
    if moves and moves[0].release != runtime.loaded.id:
        return (
            f"channel {runtime.channel} points at release {moves[0].release[:12]}, and this code location still shows "
            f"{runtime.loaded.id[:12]}: reload it (seqplat code-server does so by itself)"
        )
    return ""


def _event(runtime: Runtime, move: ChannelMove) -> dg.AssetMaterialization:
    said = {
        "moved_by": move.moved_by,
        "moved_at": move.moved_at.isoformat(),
        "move": str(move.number),
        "note": move.note,
    }
    found = {"release": move.release[:12], **{name: text for name, text in said.items() if text}}
    return dg.AssetMaterialization(_key(runtime), metadata=found, description=f"shows {move.release[:12]}")


def _recorded_release(instance: dg.DagsterInstance, runtime: Runtime) -> str:
    event = instance.get_latest_materialization_event(_key(runtime))
    found = event.asset_materialization.metadata.get("release") if event and event.asset_materialization else None
    return str(found.value) if found else ""


def _key(runtime: Runtime) -> dg.AssetKey:
    return key_of(f"{RELEASE}/{runtime.channel}")
