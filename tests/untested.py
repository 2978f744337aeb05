"""The last line of a test run: what could not be tested here, and why. A run that is told to end ends its servers."""

import os
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

# Of a reason that is the output of a tool, enough to see which.
REASON_CHARS = 200
_SKIPPED = "Skipped: "
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# In a worker of a parallel run: its name, and what it says to who started it.
_WORKER = "PYTEST_XDIST_WORKER"
_DESELECTED = "deselected"
# A worker that is told to end finishes its test within 5 s or interrupts it, has 10 s for fixtures, and then gives up
# by itself. By default it would be killed before.
_ENDS_WITHIN_S = 60


class Untested:
    """A plugin of pytest: counts skipped tests by reason, ``WHAT: why and how to mend it``."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._chosen: int | None = None
        self._finished = self._deselected = 0

    def pytest_sessionstart(self) -> None:
        # As Ctrl-C does: fixtures end, and what was started for all of them ends with the process. A shell may have had
        # SIGINT ignored, as for commands in the background; tests interrupt servers by it, which would inherit that.
        for number in _ENDING:
            signal.signal(number, _interrupt)

    def pytest_keyboard_interrupt(self) -> None:
        """A terminal tells a worker to end, and so does who started it: fixtures end undisturbed by the second."""
        if _WORKER in os.environ:
            for number in _ENDING:
                signal.signal(number, lambda *_: None)  # not SIG_IGN, which children would inherit

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._deselected += len(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._chosen = None if session.config.option.collectonly else len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.nodemanager.EXIT_TIMEOUT = _ENDS_WITHIN_S

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Workers collect, each the same tests, and who started them does not."""
        self._chosen = len(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._deselected = max(self._deselected, getattr(node, "workeroutput", {}).get(_DESELECTED, 0))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        getattr(session.config, "workeroutput", {})[_DESELECTED] = self._deselected

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_runtest_logfinish(self) -> None:
        self._finished += 1

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """After pytest's own closing line."""
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._chosen is not None:
            whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not self._deselected
            terminal.write_line(self.said(whole=whole))

    def said(self, *, whole: bool) -> str:
        """``whole``: all tests there are were chosen."""
        left = [_what(reason, count) for reason, count in sorted(self._reasons.items())]
        if (unreached := (self._chosen or 0) - self._finished) > 0:
            left.append(f"{unreached} test(s) that were not reached")
        if left:
            return f"not tested: {', '.join(left)}"
        return "everything was tested" if whole else "everything that was chosen was tested"

    def _note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._reasons[said.removeprefix(_SKIPPED)] += 1


def _what(reason: str, count: int) -> str:
    what, _, why = " ".join(reason.split()).partition(": ")
    why = f"{why[:REASON_CHARS]}…" if len(why) > REASON_CHARS else why
    return f"{what} ({why}; {count} test(s))" if why else f"{what} ({count} test(s))"


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)
