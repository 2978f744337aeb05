"""Every environment variable and plug-in group the code reads is in docs/settings.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("sequence_defs", "seqplat_resources", "seqplat_assets", "serving")


def _mentioned(pattern: str) -> set[str]:
    found: set[str] = set()
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            found |= set(re.findall(pattern, file.read_text()))
    return found


def test_every_setting_is_documented() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text()
    missing = {name for name in _mentioned(r"\"((?:SEQPLAT|DAGSTER)_[A-Z_]*[A-Z])\"") if f"`{name}`" not in documented}
    assert not missing, f"add to docs/settings.md: {sorted(missing)}"


def test_every_plugin_group_is_documented() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text()
    missing = {name for name in _mentioned(r"GROUP = \"(seqplat\.[a-z]+)\"") if f"`{name}`" not in documented}
    assert not missing, f"add to docs/settings.md: {sorted(missing)}"


def test_no_documented_setting_is_gone() -> None:
    documented = set(re.findall(r"^\| `(SEQPLAT_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.M))
    assert documented <= _mentioned(r"\"(SEQPLAT_[A-Z_]+)\"")
