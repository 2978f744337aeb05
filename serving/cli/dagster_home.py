"""Dagster's own folder: beside the data unless DAGSTER_HOME says otherwise, with our settings in it."""

import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from seqplat_resources.errors import Final
from seqplat_resources.home import Home

SETTINGS = "dagster.yaml"


class DagsterHomeNotLocal(Final):
    """A home on object storage has no place for Dagster's local storage."""


def ensure_dagster_home(home: Home) -> Path:
    """Name the folder in ``DAGSTER_HOME``, create it, and give it our ``dagster.yaml`` if it has none.

    Raises:
        DagsterHomeNotLocal: the home is not local and the variable is not set.
    """
    if not os.environ.get("DAGSTER_HOME") and not home.is_local:
        raise DagsterHomeNotLocal(
            f"the home {home.root} is not local: set DAGSTER_HOME to a folder for Dagster's records"
        )
    folder = Path(os.environ.get("DAGSTER_HOME") or home.uri("dagster")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / SETTINGS
    if not settings.exists():
        settings.write_bytes(_shipped())
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


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
