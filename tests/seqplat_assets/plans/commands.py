"""Commands as processes of their own, which get a signal before one of their writes.

Each is a fork of a process that has imported what they use, which takes most of the time of a command:
`python -m tests.seqplat_assets.plans.commands`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PATIENCE_S = 300.0


@dataclass(frozen=True)
class Command:
    """One that runs, or ran; what it prints is in ``output``."""

    pid: int
    output: Path
    _commands: "Commands"

    @property
    def said(self) -> str:
        return self.output.read_text()

    def ended(self, within_s: float = PATIENCE_S) -> int | None:
        """Its status, negative for a signal; None where it stood still, or went on for so long."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            status = self._commands.ask(wait=self.pid)
            if status is not None:
                return None if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return None


class Commands:
    """The process that forks."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        # What a command says waits in a buffer, as where its output is a file or a pipe.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        # Not beside the home: the disk below it may be full, and what a command says of that must have room.
        self._outputs = TemporaryDirectory()

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self,
        folder: Path,
        *command: str,
        before: str = "",
        nth: int = 0,
        by: int = signal.SIGKILL,
        hangs: bool = False,
    ) -> Command:
        """A command over the shop's home, which gets a signal before its ``nth`` write whose place begins so.

        Where that ``hangs``, it gets the signal again and again.
        """
        mine = {key: value for key, value in os.environ.items() if not key.startswith(("SEQPLAT_", "DAGSTER_"))}
        environment = {**mine, "SEQPLAT_HOME": str(folder / "home"), "SEQPLAT_SOURCES": str(folder)}
        output = Path(self._outputs.name) / f"{time.monotonic_ns()}.txt"
        run = [list(command), before, nth, int(by), hangs, environment, str(output)]
        return Command(self.ask(run=run), output, self)

    def finished(self, folder: Path, *command: str, **more: Any) -> tuple[int | None, str]:
        """Status and output of a command."""
        started = self.start(folder, *command, **more)
        return started.ended(), started.said

    @contextmanager
    def paused(self, folder: Path, *command: str, before: str, nth: int = 1) -> Iterator[Command]:
        """A command that stands still before a write, for the length of the block, and goes on after it."""
        started = self.start(folder, *command, before=before, nth=nth, by=signal.SIGSTOP)
        assert started.ended() is None, started.said
        try:
            yield started
        finally:
            os.kill(started.pid, signal.SIGCONT)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._outputs.cleanup()


def _serve() -> None:
    import serving.cli.days.materialize
    import serving.cli.releases.planning  # noqa: F401
    import tests.seqplat_assets.plans.column_shop  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG | os.WUNTRACED)
            answer = status if pid else None
        else:
            answer = os.fork()
            if not answer:
                _run(*asked["run"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(
    command: list[str], before: str, nth: int, by: int, hangs: bool, environment: dict[str, str], output: str
) -> None:
    from serving.cli.main import main
    from tests.seqplat_assets.plans.column_shop import signalled

    os.environ.clear()
    os.environ.update(environment)
    file = os.open(output, os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(file, number)
    signalled(before, nth, by, hangs=hangs)
    sys.argv = ["seqplat", *command]
    status = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve()
