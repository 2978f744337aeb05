"""Every command and every Python block of a page runs in order, and prints what the page says."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.client import Client
from tests.conftest import Demo
from tests.docs.blocks import DOCS, Block, blocks, commands
from tests.docs.shell import Seqplat, Shell
from tests.docs.shown import differs
from tests.ports import free_port

# What a page begins with: an empty folder, or one with the home that `make demo` fills.
PAGES = {
    "analysis.md": "demo",
    "api.md": "demo",
    "backfill.md": "empty",
    "changes.md": "empty",
    "client.md": "demo",
    "coming-from.md": "empty",
    "first-event-type.md": "empty",
    "served.md": "empty",
    "sessions.md": "empty",
    "streaming.md": "empty",
    "tenants.md": "demo",
    "training.md": "demo",
}


@pytest.fixture(scope="module")
def seqplat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seqplat]:
    found = Seqplat(tmp_path_factory.mktemp("s"))
    yield found
    found.close()


@pytest.fixture
def shell(request: pytest.FixtureRequest, seqplat: Seqplat, tmp_path: Path) -> Iterator[Shell]:
    """A folder of the page's own."""
    begins = request.getfixturevalue("begins")
    found = Shell(tmp_path, seqplat.path, {"SEQPLAT_API_PORT": str(free_port())})
    if begins != "empty":
        demo: Demo = request.getfixturevalue("demo")
        shutil.copytree(demo.runtime.home.root, tmp_path / ".seqplat")
    yield found
    found.close()


def test_a_page(page: str, begins: str, shell: Shell) -> None:
    problems = list(_problems((DOCS / page).read_text(), page, shell))
    assert not problems, "\n\n".join(problems)


def _problems(text: str, page: str, shell: Shell) -> Iterator[str]:
    names: dict[str, Any] = {"__name__": "page"}
    with contextlib.ExitStack() as opened:
        yield from _of_blocks(text, page, shell, names, opened)


def _of_blocks(
    text: str, page: str, shell: Shell, names: dict[str, Any], opened: contextlib.ExitStack
) -> Iterator[str]:
    for block in blocks(text):
        where = f"{page}:{block.line}"
        if block.kind == "file":
            file = Path(shell.environment.get("PWD", shell.folder)) / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.kind == "python":
            printed = _python(block, where, names, shell)
            if isinstance(client := names.get("client"), Client):
                opened.callback(client.close)
            if wrong := differs(block.shown, printed):
                yield f"{where}: {wrong}"
        elif block.kind == "session":
            for command, said in commands(block.text):
                printed, _ = shell.run(command)
                if wrong := differs(said, printed):
                    yield f"{where}: $ {command}\n{wrong}"


def _python(block: Block, where: str, names: dict[str, Any], shell: Shell) -> str:
    before, output = dict(os.environ), io.StringIO()
    os.environ.update(shell.environment)
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(block.text, where, "exec"), names)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return output.getvalue()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page" in metafunc.fixturenames:
        metafunc.parametrize(("page", "begins"), sorted(PAGES.items()))


@pytest.fixture
def begins(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Blocks that cannot run here, as their pages say; and Python that another test loads, with what it needs around it.
NOT_RUN = {
    "README.md": 2,
    "analysis.md": 2,
    "api.md": 2,
    "checks.md": 3,
    "console.md": 1,
    "cutover.md": 1,
    "deploy.md": 3,
    "explain.md": 5,
    "migration.md": 13,
    "readout.md": 1,
    "redis.md": 1,
    "streaming.md": 1,
    "tenants.md": 1,
    "training.md": 1,
    "verdicts.md": 1,
}
ELSEWHERE = {
    "README.md": "serving/client/test_documented.py",
    "migration.md": "docs/test_migration_documented.py",
    "readout.md": "docs/test_readout_documented.py",
    "sources.md": "docs/test_sources_documented.py",
}


def test_every_block_runs_or_says_why_it_does_not() -> None:
    pages = [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"]
    found = {page.name: blocks(page.read_text()) for page in pages}
    counted = {name: n for name, of in found.items() if (n := sum(block.kind == "not run" for block in of))}
    assert counted == NOT_RUN
    left = {name for name, of in found.items() if any(block.kind != "not run" for block in of)} - set(PAGES)
    assert left == set(ELSEWHERE)
    assert all((DOCS.parent / "tests" / test).exists() for test in ELSEWHERE.values())
