"""Run one command and say what it cost: wall time, CPU time and peak memory of it and all its children.

`getrusage` alone would miss most of a JVM: Python starts it and does not wait for it. So the process tree is sampled
through `/proc` as well, and the larger of both views counts. For memory only the samples do: what `getrusage` calls the
peak of a child includes its parent's size at the fork.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
SAMPLE_EVERY_S = 0.05  # memory peaks of a batch job last longer; a sample costs under 1 ms of one core
REFRESH_EVERY_SAMPLES = 10  # looking for new children walks every thread of a JVM, so not at each sample
LINGER_S = 15.0  # how long the children of a finished command may take to leave the machine to the next one
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MB = 1_000_000


@dataclass(frozen=True)
class Cost:
    """What one finished command cost.

    `peak_rss_mb` is in 10**6 bytes: the highest sum over the process tree at one sample, or the highest the command's
    own process ever was. Pages shared by two processes count twice, which matters to none of the contestants here.
    `stdout` is whole.
    """

    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    stdout: str


class CommandFailedError(RuntimeError):
    """A measured command ended with another exit code than 0, or ran into its time limit."""

    def __init__(self, *, command: Sequence[str], exit_code: int, wall_s: float, stderr_tail: str) -> None:
        self.command, self.exit_code, self.wall_s = list(command), exit_code, wall_s
        super().__init__(
            f"command {' '.join(command)!r} ended with exit code {exit_code} after {wall_s:.1f} s; "
            f"a negative code is a signal, -9 most often the time limit or too little memory. "
            f"The end of its error output:\n{stderr_tail}"
        )


def measure(
    command: Sequence[str], *, cwd: Path, extra_env: Mapping[str, str] | None = None, timeout_s: float = 1800.0
) -> Cost:
    """Run `command` to its end, start-up included, and return its cost.

    Raises:
        CommandFailedError: it failed, or took longer than `timeout_s` and was killed with all its children.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        # Its own process group, so that killing it also reaches grandchildren that were orphaned.
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(extra_env or {})}, stdout=out, stderr=err, start_new_session=True
        )
        watch = TreeWatch(process.pid)
        killer = threading.Timer(timeout_s, _kill_group, [process.pid])
        watch.start()
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
        except BaseException:
            _kill_group(process.pid)
            raise
        finally:
            killer.cancel()
            watch.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        _wait_for_group(process.pid)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise CommandFailedError(
                command=command, exit_code=process.returncode, wall_s=wall_s, stderr_tail=err.read()[-4000:]
            )
        return Cost(
            wall_s=round(wall_s, 3),
            cpu_s=round(max(watch.cpu_s, usage.ru_utime + usage.ru_stime), 2),
            peak_rss_mb=round(watch.peak_rss_bytes / MB, 1),
            stdout=out.read(),
        )


@dataclass
class TreeWatch:
    """Samples a process tree from a thread. A member stays one after its parent has died, as a JVM's does."""

    root_pid: int
    peak_rss_bytes: int = 0
    _cpu_ticks: dict[int, int] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu_ticks.values()) / TICKS_PER_S

    @property
    def own_bytes(self) -> int:
        """What the processes hold now by themselves: see the function of this name."""
        return sum(own_bytes(pid) for pid in list(self._cpu_ticks))

    def start(self) -> None:
        self._cpu_ticks = {self.root_pid: 0}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        samples = 0
        while not self._ended.is_set():
            if samples % REFRESH_EVERY_SAMPLES == 0:
                self._find_children()
            self._sample()
            samples += 1
            self._ended.wait(SAMPLE_EVERY_S)

    def _find_children(self) -> None:
        found = list(self._cpu_ticks)
        while found:
            pid = found.pop()
            new = [child for child in _children(pid) if child not in self._cpu_ticks]
            self._cpu_ticks |= dict.fromkeys(new, 0)
            found += new

    def _sample(self) -> None:
        rss_bytes = 0
        self.peak_rss_bytes = max(self.peak_rss_bytes, _high_water_bytes(self.root_pid))
        for pid in self._cpu_ticks:
            try:
                # The command name in field 2 may hold spaces; everything after its closing bracket is regular.
                fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self._cpu_ticks[pid] = max(self._cpu_ticks[pid], int(fields[11]) + int(fields[12]))
            rss_bytes += int(fields[21]) * PAGE_BYTES
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss_bytes)


def own_bytes(pid: int) -> int:
    """What one process holds by itself, without the pages of files that it maps; 0 when it is gone."""
    return _status_bytes(pid, "RssAnon:")


def _high_water_bytes(pid: int) -> int:
    """The peak of one process as the kernel knows it, which sees what lies between two samples; 0 when it is gone."""
    return _status_bytes(pid, "VmHWM:")


def _status_bytes(pid: int, name: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for listing in (PROC / str(pid) / "task").glob("*/children"):
        try:
            found += [int(child) for child in listing.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended between the listing and the read
    return found


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _wait_for_group(group: int) -> None:
    """Give orphans of the command `LINGER_S` to end by themselves, then end them: the next run wants quiet."""
    deadline = time.monotonic() + LINGER_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(SAMPLE_EVERY_S)
    _kill_group(group)
