"""The notebook runs from its first cell to its last, and prints what it shows."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Demo
from tests.docs.blocks import DOCS

_EXTRA = "install the extra notebook"
# Sums of floats differ in their last digits between processors; the notebook itself asserts who wins.
_MASK = re.compile(r"(?<=after epoch \d: )0\.\d+")


def _texts(cell: Any) -> str:
    outputs = [each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.get("outputs", ())]
    return _MASK.sub("N", "".join(outputs))


def test_the_notebook_runs_and_prints_what_it_shows(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat: Any = pytest.importorskip("nbformat", reason=f"the notebook: {_EXTRA}")
    nbclient: Any = pytest.importorskip("nbclient", reason=f"the notebook: {_EXTRA}")
    for needed in ("ipykernel", "matplotlib", "torch"):
        pytest.importorskip(needed, reason=f"the notebook: {_EXTRA}")
    shutil.copytree(demo.runtime.home.root, tmp_path / ".seqplat")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shown = nbformat.read(DOCS / "next-item.ipynb", 4)
    said = [_texts(cell) for cell in shown.cells]
    ran = nbclient.NotebookClient(shown, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [_texts(cell) for cell in ran.cells] == said
    assert sum("image/png" in output.get("data", {}) for cell in ran.cells for output in cell.get("outputs", ())) == 2


def test_the_notebook_says_nothing_of_where_it_ran() -> None:
    text = (DOCS / "next-item.ipynb").read_text()
    assert "/tmp/" not in text
    assert "/root/" not in text
    assert "sp_" not in text
