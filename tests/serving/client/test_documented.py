"""docs/client.md and the README: their Python runs as it stands, and every error is named."""

import asyncio
import dataclasses
import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import serving.client
from serving.client import Client, ClientError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "client.md").read_text()
# What pages leave out before their first line.
_IMPORTED = {"asyncio": asyncio, "dataclasses": dataclasses, "dt": dt, "np": np, "pl": pl}


def _blocks(text: str) -> list[str]:
    return [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "sequence_defs" not in block]


@pytest.mark.parametrize("page", ["docs/client.md", "README.md"])
def test_the_python_of_a_page_runs(
    page: str, api: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEQPLAT_URL", api[0])
    monkeypatch.setenv("SEQPLAT_KEY", api[1])
    blocks = _blocks((ROOT / page).read_text())
    names: dict[str, Any] = {**_IMPORTED, **{name: getattr(serving.client, name) for name in serving.client.__all__}}
    opened: list[Client] = []
    for block in blocks:
        exec(compile(block, page, "exec"), names)
        if isinstance(client := names.get("client"), Client):
            opened.append(client)
    for client in opened:
        client.close()
    assert blocks
    printed = capsys.readouterr().out
    for shape in re.findall(r"\(\d+, 200(?:, 8)?\)", (ROOT / page).read_text()):
        assert shape in printed
    if page == "docs/client.md":
        assert "did you mean 'sales_value'?" in printed


def test_every_error_is_in_the_table() -> None:
    rows = {name for row in re.findall(r"^\|([^|]*)\|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    kinds = [getattr(serving.client, name) for name in serving.client.__all__]
    assert rows == {kind.__name__ for kind in kinds if issubclass(kind, ClientError)}
