"""Dagster's own folder: beside the data unless DAGSTER_HOME says otherwise, with our settings in it."""

import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore

from seqplat_resources.errors import Final
from seqplat_resources.home import Home

SETTINGS = "dagster.yaml"


# Whose records a folder that DAGSTER_HOME names has, where it lies outside of the homes of channels.
_PLACE = "seqplat-place"


class DagsterHomeNotLocal(Final):
    """A home on object storage has no place for Dagster's local storage."""


class DagsterHomeOfOther(Final):
    """The folder has the records of another channel, whose assets have the same names."""

    def __init__(self, note: Path, *, mine: str, theirs: str) -> None:
        super().__init__(
            f"DAGSTER_HOME {note.parent} has the records of a channel whose data is at {theirs or 'the root'} of its "
            f"home ({note}), and that of this one is at {mine or 'the root'}: their days would be taken for each "
            "other's; give each channel a DAGSTER_HOME of its own, or leave the variable out"
        )


def ensure_dagster_home(home: Home) -> Path:
    """Name the folder in ``DAGSTER_HOME``, create it, and give it our ``dagster.yaml`` if it has none.

    It is one channel's: to Dagster, assets of the same name are the same asset.

    Raises:
        DagsterHomeNotLocal: the home is not local and the variable is not set.
        DagsterHomeOfOther: the variable names that of a channel whose data is elsewhere.
    """
    if not os.environ.get("DAGSTER_HOME") and not home.is_local:
        raise DagsterHomeNotLocal(
            f"the home {home.root} is not local: set DAGSTER_HOME to a folder for Dagster's records"
        )
    folder = Path(os.environ.get("DAGSTER_HOME") or home.uri("dagster")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _take(folder, home.place)
    settings = folder / SETTINGS
    if not settings.exists():
        settings.write_bytes(_shipped())
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def _take(folder: Path, place: str) -> None:
    files = LocalStore(prefix=folder)
    try:
        obstore.put(files, _PLACE, f"{place}\n".encode(), mode="create")
    except AlreadyExistsError:
        theirs = bytes(files.get(_PLACE).bytes()).decode(errors="replace").strip()
        if theirs != place:
            raise DagsterHomeOfOther(folder / _PLACE, mine=place, theirs=theirs) from None


def older_settings(folder: Path) -> list[str]:
    """What our ``dagster.yaml`` says and that of ``folder`` does not, which is never written over: a line each, and
    how to take ours. Nothing for a folder without.

    One that names another storage was not made from ours: of it only what it lacks is told.
    """
    import yaml  # type: ignore[import-untyped]  # Dagster reads it with this

    if not (file := folder / SETTINGS).exists():
        return []
    try:
        theirs: Any = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        return [f"{file} cannot be read: {error}"]
    ours = yaml.safe_load(_shipped())
    found = list(_differences(ours, theirs if isinstance(theirs, Mapping) else {}))
    if not found:
        return []
    return [*found, f"to take ours: mv {file} {file}.old, run the command that uses it again, and restart Dagster"]


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    mine, other = dict(_leaves(ours)), dict(_leaves(theirs))
    is_own = theirs.get("storage") != ours["storage"]
    for name, value in mine.items():
        if name not in other:
            if not (is_own and name.startswith("storage.")):
                yield f"{name} is not set; ours: {_told(value)}"
        elif other[name] != value and not is_own:
            yield f"{name} is {_told(other[name])}; ours: {_told(value)}"


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their names with dots."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _told(value: object) -> str:
    return json.dumps(value, default=str)


def _shipped() -> bytes:
    return (files("seqplat_assets") / SETTINGS).read_bytes()
