"""Executors by name: found, refused when claimed twice or changed, and joined by other packages."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from seqplat_resources.engine import registry
from seqplat_resources.engine.registry import (
    ExecutorChanged,
    ExecutorDuplicate,
    ExecutorUnknown,
    digest,
    digests,
    executor,
    executor_for,
    executors,
)
from seqplat_resources.executors.declarative import Declarative
from seqplat_resources.executors.pricing import PricedLine

MINE = """
from seqplat_resources.engine.registry import executor
from seqplat_resources.executors.declarative import Declarative


@executor("mine")
class Mine(Declarative):
    pass
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, and an empty table of executors."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_bundled_executors_are_found() -> None:
    assert {"declarative", "priced_line", "discounts"} <= executors().keys()
    assert isinstance(executor_for("priced_line", digests()["priced_line"]), PricedLine)


def test_an_executor_that_is_not_installed_is_named_with_those_there_are() -> None:
    with pytest.raises(ExecutorUnknown) as refused:
        executor_for("ranked", "0" * 16)
    assert str(refused.value).startswith("executor 'ranked' is not installed; there are ['declarative', ")
    assert str(refused.value).endswith("Install the package that provides it (entry point group 'seqplat.executors')")


def test_code_that_is_not_what_the_release_was_compiled_with_is_refused() -> None:
    with pytest.raises(ExecutorChanged) as refused:
        executor_for("declarative", "0" * 16)
    assert str(refused.value) == (
        f"executor 'declarative' has code {digest(Declarative)}, the release was compiled with {'0' * 16}: "
        "run `seqplat publish` with this code, or install the version the release names"
    )


def test_a_name_is_claimed_once(packages: Path) -> None:
    executor("mine")(Declarative)
    executor("mine")(Declarative)  # the same class again, as a reload does
    with pytest.raises(ExecutorDuplicate) as refused:
        executor("mine")(PricedLine)
    assert str(refused.value) == (
        "executor 'mine' is registered by seqplat_resources.executors.declarative.Declarative and again by "
        "seqplat_resources.executors.pricing.PricedLine; rename one of them"
    )


def test_a_digest_is_of_the_code_that_was_loaded(packages: Path) -> None:
    """A process goes on running what it imported when the file changes below it, and has to say so."""
    file = packages / "mine_now.py"
    file.write_text(MINE)
    loaded = importlib.import_module("mine_now").Mine
    file.write_text(f"{MINE}    changed = True\n")
    before = digest(loaded)
    assert digest(loaded) == before
    sys.modules.pop("mine_now")
    importlib.invalidate_caches()
    assert digest(importlib.import_module("mine_now").Mine) != before


def test_a_digest_covers_the_classes_inherited_from(packages: Path) -> None:
    """A change of a base is a change of behaviour, in whatever file it stands."""
    found = set()
    for number, body in enumerate(("pass", "changed = True")):
        base, derived = f"base_{number}", f"derived_{number}"
        (packages / f"{base}.py").write_text(f"class Base:\n    {body}\n")
        (packages / f"{derived}.py").write_text("import sys\n\n\nclass Mine(sys.modules['base'].Base):\n    pass\n")
        sys.modules["base"] = importlib.import_module(base)
        found.add(digest(importlib.import_module(derived).Mine))
    sys.modules.pop("base")
    assert len(found) == 2


def installed(folder: Path, target: str) -> None:
    """A package with one entry point, as an installer leaves it."""
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[seqplat.executors]\nmine = {target}\n")
    (folder / "mine_executors.py").write_text(MINE)


def in_another_process(folder: Path, code: str) -> str:
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("target", ["mine_executors", "mine_executors:Mine"])
def test_another_package_joins_by_entry_point(tmp_path: Path, target: str) -> None:
    installed(tmp_path, target)
    said = in_another_process(
        tmp_path,
        "from seqplat_resources.engine.registry import digests, executor_for\n"
        "print(type(executor_for('mine', digests()['mine'])).__module__)",
    )
    assert said == "mine_executors"


def test_a_package_whose_entry_point_does_not_load_is_named(tmp_path: Path) -> None:
    installed(tmp_path, "gone_executors")
    said = in_another_process(
        tmp_path,
        "from seqplat_resources.engine.registry import ExecutorBroken, executors\n"
        "try:\n    executors()\nexcept ExecutorBroken as error:\n    print(error)",
    )
    assert said == (
        "entry point 'mine' of package 'mine' (gone_executors) cannot be loaded: ModuleNotFoundError: "
        "No module named 'gone_executors'; mend the package or uninstall it"
    )
