"""Facts about the machine a number was measured on. No host name and no paths: results are published."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("polars", "deltalake", "duckdb", "numpy", "dagster")


@dataclass(frozen=True)
class Machine:
    """Hardware and versions; `memory_gib` is what the kernel calls MemTotal."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    packages: dict[str, str]


def describe() -> Machine:
    """Describe this machine. What cannot be read is `"unknown"` or left out."""
    return Machine(
        cpu=_field(Path("/proc/cpuinfo"), "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
    )


def load_per_core() -> float:
    """The load average of the last minute over the cores. Above 0.2 before a run, somebody else was measuring too."""
    return round(os.getloadavg()[0] / len(os.sched_getaffinity(0)), 2)


def _field(path: Path, name: str) -> str:
    if path.exists():
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
