"""Where the API benchmarks find everything: generated files, and a home that was built and published from them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import api_data, contest
from benchmarks.api_data import Shape


@dataclass(frozen=True)
class ApiHome:
    """``folder`` is emptied when the home is built; ``scratch`` is the cache folder of all benchmarks."""

    scratch: Path
    folder: Path
    sources: Path
    shape: Shape

    @property
    def home(self) -> Path:
        return self.folder / "home"


def build(cache: Path, shape: Shape, folder: Path | None = None) -> ApiHome:
    """Generate what is missing, then build and publish all days, in a process of its own. Nobody is measured on it."""
    scratch = contest.scratch(cache)
    found = ApiHome(
        scratch, folder or scratch / "out" / "api", scratch / f"api-{shape.users}-{shape.long_users}", shape
    )
    api_data.ensure(found.sources, shape)
    shutil.rmtree(found.folder, ignore_errors=True)
    found.folder.mkdir(parents=True)
    command = (sys.executable, "-m", "benchmarks.seqplat_api", "prepare", "--days", str(shape.days))
    places = ("--home", str(found.home), "--sources", str(found.sources))
    subprocess.run((*command, *places), cwd=contest.REPOSITORY, check=True)
    return found
