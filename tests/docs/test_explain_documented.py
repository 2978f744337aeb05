"""Every verdict is explained in docs/explain.md."""

from pathlib import Path
from typing import get_args

from seqplat_resources.explain.account.model import Code

DOCS = Path(__file__).parents[2] / "docs" / "explain.md"


def test_every_verdict_is_documented_and_no_other() -> None:
    rows = [line.split("|")[1] for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    documented = [name.strip().strip("`") for row in rows for name in row.split(",")]
    assert sorted(documented) == sorted(get_args(Code))
