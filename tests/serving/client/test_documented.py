"""The README: its Python runs as it stands. Of docs/client.md (it runs in tests/docs): every error is named."""

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
from tests.serving.client.test_arrays import TYPES, WITHOUT_NULL

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "client.md").read_text()
# What pages leave out before their first line.
_IMPORTED = {"asyncio": asyncio, "dataclasses": dataclasses, "dt": dt, "np": np, "pl": pl}


def _blocks(text: str) -> list[str]:
    return [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "sequence_defs" not in block]


@pytest.mark.parametrize("page", ["README.md"])
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


def _rows(heading: str) -> list[list[str]]:
    """Of the table below a heading, without its head: the cells."""
    section = PAGE.partition(f"{heading}\n")[2].partition("\n#")[0]
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_every_error_is_in_the_table() -> None:
    rows = {name for row in _rows("## Errors") for name in re.findall(r"`(\w+)`", row[0])}
    kinds = [getattr(serving.client, name) for name in serving.client.__all__]
    assert rows | {"ClientError"} == {kind.__name__ for kind in kinds if issubclass(kind, ClientError)}


def test_every_type_is_in_the_table_with_that_of_its_array() -> None:
    told: dict[str, str] = {}
    for column, array, without_fill, _ in _rows("### Types, nulls and padding"):
        for written in re.findall(r"`([^`]+)`", column):
            name = written.replace("n]", "2]").replace("list[...]", "list[int64]")
            told[name] = name if array == "the same" else array.split("`")[1]
            assert (without_fill == "`NullsInColumns`") == (name in WITHOUT_NULL)
    expected = {name: array for name, (*_, array) in TYPES.items()}
    assert told.items() <= {**expected, "vector[float16,2]": "float32"}.items()
    assert expected.keys() - told.keys() == {"int16", "int32", "list[string]"}  # between others, and as another
