"""A project without findings as text, and a way to break it and see what is reported."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sequence_defs.analysis.diagnostics import Diagnostic
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project

SHOP = Path(__file__).with_name("shop.py")
EXECUTORS = {"declarative": "0" * 16}


@pytest.fixture
def shop_text() -> str:
    return SHOP.read_text()


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str], list[Diagnostic]]:
    """All findings of one file of definitions, through the same steps as `seqplat check`."""

    def run(text: str) -> list[Diagnostic]:
        file = tmp_path / "shop.py"
        file.write_text(text)
        found = discover(str(file))
        return analyse(Project(found.definitions, EXECUTORS), found.errors)

    return run


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Project]:
    """The project of one file that loads."""

    def run(text: str) -> Project:
        file = tmp_path / "project.py"
        file.write_text(text)
        found = discover(str(file))
        assert found.errors == ()
        return Project(found.definitions, EXECUTORS)

    return run
