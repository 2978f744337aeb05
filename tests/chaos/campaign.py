"""The controller: starts processes, disturbs them one at a time at random moments, asks for a verdict."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from tests.building import runtime_for
from tests.chaos import actors, offers, verdict
from tests.chaos.messages import definitions
from tests.chaos.ways import Done, Undo, Ways, nothing
from tests.chaos.world import Site
from tests.forking import FORKING
from tests.serving.keys import new_key

# Name -> role. The last stream is the one that `seqplat stream` runs.
CAST = {
    "producer": "produce",
    "stream-1": "stream",
    "stream-2": "serve",
    "batch": "batch",
    "offerer": "offer",
    "keeper": "keep",
    "reader": "read",
    "api": "api",
    "caller": "call",
}
WEIGHTS = {
    "producer": 2,
    "stream-1": 4,
    "stream-2": 4,
    "batch": 3,
    "offerer": 2,
    "keeper": 3,
    "reader": 1,
    "api": 2,
    "caller": 0.2,
}
# Of a pause, seconds: some are longer than every lease (``LEASE_S``), so that the process wakes without it.
PAUSES_S = (0.2, 2 * actors.LEASE_S)
# And some of streams longer than files are young to vacuum.
LONG, LONG_PAUSES_S = 0.15, (actors.YOUNG_S + 1, actors.YOUNG_S + 8)
KILL, PAUSE = 60.0, 25.0
STEPS = (1, 2, 3, 4, 5, 6)
KILLED = -9
MOST_FAILURES = 20
LEAST_DRAIN_S = 180.0


class Stuck(Exception):
    """Processes ended by errors again and again, or the campaign did not come to its end in time."""


@dataclass
class Campaign:
    """So many ``disturbances`` within ``limit_s``: processes killed and paused, and what ``ways`` adds to that."""

    ways: Ways
    disturbances: int
    limit_s: float
    pause_s: tuple[float, float]
    done: Counter[str] = field(default_factory=Counter)
    _running: dict[str, BaseProcess] = field(default_factory=dict)
    _undo: list[tuple[float, Undo]] = field(default_factory=list)
    _draw: random.Random = field(default_factory=lambda: random.Random(11))

    @property
    def site(self) -> Site:
        return self.ways.site

    def run(self) -> dict[str, Any]:
        """The facts of the report.

        Raises:
            Stuck: see there; nothing that was started is left running.
        """
        began = time.monotonic()
        runtime_for(self.site.home, (*definitions(), *offers.definitions()), "")
        offers.write_files(self.site)
        self.site.note("key", new_key(self.site.home, "shop"))
        try:
            # The topic first: a stream of a topic that is not there has nothing to wait for.
            self._start("producer")
            self._until(lambda: self.site.noted("produced", 0) > 0, "the first messages", began)
            for name in CAST:
                if name not in self._running:
                    self._start(name)
            self._storm(began)
            self._calm(time.monotonic() + 3600)
            stormed_s = time.monotonic() - began
            self._drain(began)
        finally:
            self._calm(time.monotonic() + 3600)
            for process in self._running.values():
                process.kill()
                process.join()
        return {
            "seconds": round(time.monotonic() - began),
            "storm_seconds": round(stormed_s),
            "messages": self.site.total,
            "disturbances": dict(self.done),
            "checks": sum(map(int, self._told("checks"))),
            "batches": len(self._told("batches")),
            "calls": dict(sum(map(Counter, map(json.loads, self._told("calls"))), Counter[str]())),
            "kept": len(self._told("kept")),
            "retries": dict(Counter(self._told("retries"))),
            "violations": self._told("violations"),
            "failures": self._told("failures"),
            "verdict": self.site.noted("verdict", {}),
        }

    def _storm(self, began: float) -> None:
        ways = {self._kill: KILL, self._pause: PAUSE, **self.ways.all}
        while self.done.total() < self.disturbances:
            time.sleep(self._draw.uniform(*self.pause_s))
            self._reap()
            self._calm(time.monotonic())
            if time.monotonic() - began > self.limit_s:
                return
            name, seconds, undo = self._draw.choices(list(ways), list(ways.values()))[0]()
            self.done[name] += 1
            self._undo.append((time.monotonic() + seconds, undo))

    def _calm(self, by: float) -> None:
        """Undo what is due by then."""
        due = [undo for at, undo in self._undo if at <= by]
        self._undo = [(at, undo) for at, undo in self._undo if at > by]
        for undo in due:
            undo()

    def _victim(self) -> str:
        alive = [name for name, process in self._running.items() if process.is_alive()]
        return self._draw.choices(alive, [WEIGHTS[name] for name in alive])[0]

    def _kill(self) -> Done:
        victim = self._victim()
        self._running[victim].kill()
        self._running[victim].join()
        self._start(victim)
        return f"{victim} killed", 0, nothing

    def _pause(self) -> Done:
        victim = self._victim()
        pid = self._running[victim].pid
        assert pid
        os.kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            with suppress(ProcessLookupError):  # killed while it stood
                os.kill(pid, signal.SIGCONT)

        if CAST[victim] in ("stream", "serve") and self._draw.random() < LONG:
            return f"{victim} paused for long", self._draw.uniform(*LONG_PAUSES_S), go_on
        return f"{victim} paused", self._draw.uniform(*PAUSES_S), go_on

    def _reap(self) -> None:
        """Start again what killed itself at a step or failed; what is done stays away."""
        for name, process in list(self._running.items()):
            if process.is_alive():
                continue
            process.join()
            if process.exitcode == KILLED:
                self.done[f"{name} killed at a step"] += 1
                self._start(name)
            elif process.exitcode:
                # Told as a failure, and started again as whatever watches over processes would do.
                if len(self._told("failures")) > MOST_FAILURES:
                    raise Stuck(f"{name} ended with {process.exitcode}: {self._told('failures')}")
                self._start(name)

    def _drain(self, began: float) -> None:
        """Let the producer finish, the API answer as before, streams read and keep all of it and end; then judge."""
        answered = self._answered()
        while self.site.noted("produced", 0) < self.site.total:
            self._reap()
            self._in_time(began, "the producer")
            time.sleep(0.1)
        self._until(self._is_streamed, "the streams", began)
        self._until(lambda: self._answered() > answered, "a right answer over HTTP", began)
        for role in ("stream", "batch", "read"):
            (self.site.folder / f"over-{role}").touch()
        self._running.pop("api").kill()
        self._until(lambda: not any(map(self._is_alive, list(self._running))), "the end", began)
        judge = FORKING.Process(target=verdict.verdict, args=(self.site,))
        judge.start()
        judge.join()
        if judge.exitcode:
            raise Stuck(f"no verdict: {judge.exitcode}")

    def _answered(self) -> int:
        """Right answers over HTTP."""
        return sum(json.loads(told).get("right", 0) for told in self._told("calls"))

    def _is_streamed(self) -> bool:
        """Asked of a process of its own, so that this one opens nothing that a fork could break."""
        asked = FORKING.Process(target=verdict.behind, args=(self.site,))
        asked.start()
        asked.join()
        return self.site.noted("behind", 1) == 0

    def _is_alive(self, name: str) -> bool:
        self._reap()
        return self._running[name].is_alive()

    def _start(self, name: str) -> None:
        die_at = None
        storming = self.done.total() < self.disturbances
        if CAST[name] == "stream" and storming and self._draw.random() < 0.6:
            die_at = (self._draw.choice(STEPS), self._draw.randint(1, 6))
        process = FORKING.Process(target=actors.play, args=(CAST[name], self.site, die_at), name=name)
        process.start()
        self._running[name] = process

    def _until(self, condition: Callable[[], bool], what: str, began: float) -> None:
        while not condition():
            self._in_time(began, what)
            time.sleep(0.1)

    def _in_time(self, began: float, what: str) -> None:
        # A store that was flushed is read again from the beginning of the log, beside everything else.
        if time.monotonic() - began > self.limit_s + max(LEAST_DRAIN_S, self.limit_s):
            troubles = [path.read_text() for path in sorted(self.site.folder.glob("**/streams/trouble/*"))]
            tried = Counter(self._told("retries")[-100:]).most_common(9)
            free = shutil.disk_usage(self.site.home.root).free
            raise Stuck(
                f"waited for {what}; failures: {self._told('failures')}; messages that no stream has made visible: "
                f"{self.site.noted('behind', -1)}; bytes free: {free:,}; "
                f"the last 100 retries: {tried}; streams in trouble: {troubles}"
            )

    def _told(self, name: str) -> list[str]:
        path = self.site.folder / f"{name}.told"
        return path.read_text().splitlines() if path.exists() else []
