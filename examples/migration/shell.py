"""Commands as a person types them: each is printed, run, and heard; what is claimed of them is checked.

They run in this process, one after the other, so that the demo does not wait for thirty starts of Python. The API is a
process of its own.
"""

import datetime as dt
import json
import os
import signal
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import TextIOBase
from pathlib import Path
from shlex import join
from typing import Any, TextIO
from unittest.mock import patch

from seqplat_resources.clock import SystemClock
from serving.cli import main as cli
from serving.cli.servers.children import Child, Server
from serving.cli.servers.ports import free_port

HOST, WIDTH = "127.0.0.1", 118
# Seconds take that much, several times, on a busy machine.
PATIENCE_S = 120


class ClaimFalse(Exception):
    """Something that the demo says is not so."""


@dataclass
class _Lines(TextIOBase):
    """A stream that hands on whole lines."""

    take: Callable[[str], None]
    _rest: str = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self.take(line.rstrip())
        return len(text)


@dataclass
class Shell:
    """Prints to ``out``, and keeps all ``lines`` that it printed."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    lines: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        self._print("", "", text, "-" * len(text))

    def say(self, text: str) -> None:
        """A sentence, before the command that it is about."""
        self._print("", *textwrap.wrap(text, WIDTH))

    def claim(self, what: str, holds: bool, *, found: object = "") -> None:
        """What the command just showed.

        Raises:
            ClaimFalse: it did not.
        """
        if not holds:
            raise ClaimFalse(f"not so: {what}" + (f"; found {found}" if found != "" else ""))
        self._print(f"  [so: {what}]")

    def show(self, command: str, lines: Sequence[str]) -> None:
        """A command of another program, and what it said."""
        self._print("", f"$ {command}", *lines)

    def note(self, lines: Iterable[str]) -> None:
        """What is no command's: how a file was changed."""
        self._print("", *lines)

    def seqplat(self, *words: str, code: int = 0, only: Sequence[str] = ()) -> str:
        """Run ``seqplat``; of its lines print those with a word of ``only``, left out all. Returns all of them.

        Raises:
            ClaimFalse: it ended with another code.
        """
        self._print("", "$ " + join(["seqplat", *words]))
        said: list[str] = []

        def take(line: str) -> None:
            said.append(line)
            if not only or any(word in line for word in only):
                self._print(line)
            elif self.lines[-1] != "  ...":
                self._print("  ...")

        found = _run(words, take)
        if found != code:
            raise ClaimFalse(f"`{join(['seqplat', *words])}` ended with {found}, and not {code}: {said[-5:]}")
        return "\n".join(said)

    def heard(self, *words: str) -> str:
        """Run ``seqplat`` for its answer alone; nothing is printed."""
        said: list[str] = []
        _run(words, said.append)
        return "\n".join(said)

    def _print(self, *lines: str) -> None:
        self.lines.extend(lines)
        for line in lines:
            print(line, file=self.out, flush=True)


def _run(words: Sequence[str], take: Callable[[str], None]) -> int:
    lines = _Lines(take)
    with patch.object(sys, "argv", ["seqplat", *words]), redirect_stdout(lines), redirect_stderr(lines):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@contextmanager
def later(days: float) -> Iterator[None]:
    """Some days pass: commands within see a clock that is so far ahead."""
    now = SystemClock.now
    with patch.object(SystemClock, "now", lambda self: now(self) + dt.timedelta(days=days)):
        yield


@dataclass(frozen=True)
class Api:
    """The sequence API in a process of its own."""

    shell: Shell
    url: str
    key: str

    @classmethod
    @contextmanager
    def running(cls, shell: Shell, key: str, log: Path) -> Iterator["Api"]:
        url = f"http://{HOST}:{(port := free_port(HOST))}"
        command = [sys.executable, "-m", "serving.cli", "serve", "--port", str(port)]
        server = Server("sequence API", url, f"{url}/healthz", command, signal.SIGTERM, log, is_bound=True)
        child = Child(server, {**os.environ, "SEQPLAT_API_POLL_S": "0.2", "SEQPLAT_API_DRAIN_S": "0"})
        try:
            child.wait_until_up(patience_s=PATIENCE_S, stopped=lambda: False)
            yield cls(shell, url, key)
        finally:
            child.end(patience_s=PATIENCE_S)

    def sequence(self, name: str, user: str, columns: str, arms: Mapping[str, str], limit: int = 2) -> dict[str, Any]:
        """Ask for a user's sequence, print what it says, and return it.

        The API sees a move a moment later: it is asked until its answer is from ``arms``.

        Raises:
            ClaimFalse: it never was.
        """
        path = f"/v1/sequences/{name}/users/{user}?columns={columns}&limit={limit}"
        until = time.monotonic() + PATIENCE_S
        while (found := self._get(path))["meta"]["arms"] != arms:
            if time.monotonic() > until:
                raise ClaimFalse(f"household {user} was never answered from {arms}; meta is {found['meta']}")
            time.sleep(0.05)
        shown = {"columns": found["columns"], "meta": {"arms": found["meta"]["arms"], "...": "..."}}
        self.shell.show(f"curl -H \"Authorization: Bearer $SEQPLAT_KEY\" '$API{path}'", [json.dumps(shown)])
        return found

    def _get(self, path: str) -> dict[str, Any]:
        asked = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return json.load(answer)
