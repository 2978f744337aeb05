"""Which process a record speaks of, and whether it is known to have ended.

A host name and a pid do not tell: containers share names, each has a process 1, and pids come again. A record also
names the boot of the machine, the pid namespace, and when the process started. Whoever shares boot and namespace sees
the same processes; of all others nothing is known, and their records hold until they end by themselves.

>>> is_gone(this_process()), is_gone({"host": "another"})
(False, False)
"""

import os
import socket
from collections.abc import Mapping
from typing import Any


def this_process() -> dict[str, object]:
    """What tells this process from every other, as a record can hold it."""
    return {**_place(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_gone(process: Mapping[str, Any]) -> bool:
    """Whether the process of a record is known to have ended; a record that says too little is of a live one."""
    if any(process.get(key) != value for key, value in _place().items()):
        return False
    started, pid = process.get("started"), process.get("pid")
    if not isinstance(pid, int) or not isinstance(started, str) or pid <= 0:
        return False
    now = _started(pid)
    return now == "" or (now != started and _ALIVE not in (now, started))


# A process that is there, of which cannot be seen when it started.
_ALIVE = "alive"


def _place() -> dict[str, str]:
    """Where pids mean what they mean here."""
    return {"host": socket.gethostname(), "boot": _boot(), "pids": _pid_namespace()}


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process in ticks since boot, ``_ALIVE`` where that cannot be seen; empty if it is gone."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return _alive_at_least(pid)  # /proc counts the pids of another namespace
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        # A zombie is dead, only nobody has asked for its exit status yet.
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return _alive_at_least(pid)


def _alive_at_least(pid: int) -> str:
    """``_ALIVE`` or empty: without /proc, or where it hides what other users run, existence is all there is to know."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return ""
    except OSError:
        pass  # not ours to signal, so it is there
    return _ALIVE
