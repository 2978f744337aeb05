"""Dagster's own folder: beside the data unless DAGSTER_HOME says otherwise, with our settings in it."""

import os
from importlib.resources import files
from pathlib import Path

from seqplat_resources.errors import Final
from seqplat_resources.home import Home


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
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_bytes((files("seqplat_assets") / "dagster.yaml").read_bytes())
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder
