"""Files that are odd as a whole: they harm no row of a sane file beside them, and none passes in silence."""

import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import zstandard

from seqplat_resources.batch.builds import raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.errors import SeqplatError
from tests.building import ManualClock, runtime_for
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw
from tests.hostile.worlds.wide import definitions

DAY: Final = clocks.DAYS[0]
_AT: Final = "2024-05-01T12:00:00Z"
_HEADER: Final = b"member,id,at,i,s\n"


@dataclass(frozen=True)
class File:
    """``rows`` are the ids that must come out of it as rows, ``refused`` how many rejects there must be at least.

    A file whose ``rows`` are None may be refused whole; what must not happen is that nothing is said of it.
    """

    kind: str
    format: str
    number: int
    data: bytes
    suffix: str = ""
    rows: tuple[str, ...] | None = ()
    refused: int = 0

    @property
    def name(self) -> str:
        return f"{self.number:02}.{self.format}{self.suffix}"


def _csv(number: int, count: int = 3) -> tuple[bytes, tuple[str, ...]]:
    ids = tuple(f"f{number}-{n}" for n in range(count))
    return _HEADER + b"".join(f"ann,{name},{_AT},{n},x\n".encode() for n, name in enumerate(ids)), ids


def _ndjson(number: int, count: int = 3) -> tuple[bytes, tuple[str, ...]]:
    ids = tuple(f"f{number}-{n}" for n in range(count))
    text = '{{"member": "ann", "id": "{}", "at": "{}", "i": {}, "s": "x"}}\n'
    return b"".join(text.format(name, _AT, n).encode() for n, name in enumerate(ids)), ids


def _parquet(number: int, count: int = 3) -> tuple[bytes, tuple[str, ...]]:
    ids = tuple(f"f{number}-{n}" for n in range(count))
    frame = pl.DataFrame({"member": ["ann"] * count, "id": ids, "at": [_AT] * count, "i": range(count)})
    return _written(frame), ids


def _written(frame: pl.DataFrame) -> bytes:
    data = io.BytesIO()
    frame.write_parquet(data)
    return data.getvalue()


def _frame(data: bytes) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(data))


SANE: Final = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}
Whole = tuple[
    bytes, str, bool | None, int
]  # data, suffix, whether all rows come out (None: it may be refused), rejects
Edit = Callable[[bytes], Whole]


def _kept(edit: Callable[[bytes], bytes], suffix: str = "", refused: int = 0) -> Edit:
    return lambda data: (edit(data), suffix, True, refused)


def _maybe(edit: Callable[[bytes], bytes], suffix: str = "") -> Edit:
    return lambda data: (edit(data), suffix, None, 0)


def _empty(data: bytes) -> Whole:
    return b"", "", False, 0


_SKIPPED: Final = b"\x50\x2a\x4d\x18\x04\0\0\0past"
_TEXT: Final[Mapping[str, Edit]] = {
    "gz": _kept(gzip.compress, ".gz"),
    "zst": _kept(zstandard.compress, ".zst"),
    "gz of two members": _kept(lambda data: gzip.compress(data[:30]) + gzip.compress(data[30:]), ".gz"),
    "gz by content, not by name": _maybe(gzip.compress),
    "gz by name, not by content": _maybe(bytes, ".gz"),
    "gz cut off": _maybe(lambda data: gzip.compress(data * 50)[:-20], ".gz"),
    "carriage returns": _kept(lambda data: data.replace(b"\n", b"\r\n")),
    "byte order mark": _kept(lambda data: b"\xef\xbb\xbf" + data),
    "blank lines": _kept(lambda data: data.replace(b"\n", b"\n\n")),
    "no end of line": _kept(lambda data: data[:-1]),
    "UTF-16": _maybe(lambda data: data.decode().encode("utf-16")),
    "zst behind a frame to skip": _kept(lambda data: _SKIPPED + zstandard.compress(data), ".zst"),
    "a page that says an error": lambda data: (b"<!DOCTYPE html><title>404</title>", "", None, 1),
    "noise": _maybe(lambda data: bytes(range(256)) * 4),
    "zeros behind": _maybe(lambda data: data + b"\0" * 100),
    "empty": _empty,
    "only line ends": lambda data: (b"\n\n\r\n", "", False, 0),
}
_OF_CSV: Final[Mapping[str, Edit]] = {
    "header only": lambda data: (_HEADER, "", False, 0),
    "header in quotes": _kept(lambda data: data.replace(_HEADER, b'"member","id","at","i","s"\n')),
    "another order of columns": _kept(
        lambda data: (
            b"s,i,at,id,member\n"
            + b"".join(b",".join(reversed(line.split(b","))) + b"\n" for line in data.splitlines()[1:])
        )
    ),
    "a column more": _kept(lambda data: data.replace(b",s\n", b",s,more\n").replace(b",x\n", b",x,1\n")),
    "a column less": _kept(lambda data: data.replace(b",s\n", b"\n").replace(b",x\n", b"\n")),
    "a required column less": _maybe(lambda data: data.replace(b"member,", b"nobody,")),
    "a name twice": _maybe(lambda data: data.replace(b",s\n", b",i\n")),
    "no header": _maybe(lambda data: data.removeprefix(_HEADER)),
    "semicolons": _maybe(lambda data: data.replace(b",", b";")),
    "a long record": _kept(lambda data: data + b"ann,long,,1,x,y,z\n", refused=1),
    "an open quote": _kept(lambda data: data + b'ann,"open\n', refused=1),
    "a line break in quotes": _kept(lambda data: data.replace(b",x\n", b',"x\ny"\n')),
    "invalid UTF-8 in a record": _kept(lambda data: data + b"ann,bad," + _AT.encode() + b",1,\xff\n", refused=1),
    "invalid UTF-8 in the header": lambda data: (data.replace(b",s\n", b",s\xff\n"), "", False, 1),
    "a header of other columns only": lambda data: (b"nobody,knows\n", "", None, 1),
    "a NUL in a record": _kept(lambda data: data + b"ann,nul\x00," + _AT.encode() + b",q,x\n", refused=1),
    "named day": _kept(lambda data: data.replace(b",s\n", b",day\n")),
}
_OF_NDJSON: Final[Mapping[str, Edit]] = {
    "a cut last line": _kept(lambda data: data + b'{"member": "ann", "id": "c', refused=1),
    "an array": _maybe(lambda data: b"[" + b",".join(data.splitlines()) + b"]"),
    "a pretty object": _maybe(lambda data: data.replace(b", ", b",\n")),
    "invalid UTF-8 in a line": _kept(lambda data: data + b'{"member": "\xff"}\n', refused=1),
    "a lone surrogate in a line": _kept(lambda data: data + b'{"member": "\\ud800", "id": "1"}\n', refused=1),
    "a field of every type": _kept(
        lambda data: data.replace(b'"s": "x"', b'"s": "x", "m": 1', 1).replace(
            b'"s": "x"}', b'"s": "x", "m": {"a": []}}'
        )
    ),
    "field named day": _kept(lambda data: data.replace(b'"s": "x"', b'"day": "x"')),
}
_PAIR: Final = {"key": pl.Int64(), "value": pl.Binary()}
_NOT_NUMBERS: Final = pl.struct(a=pl.lit(float("nan")), b=pl.lit([float("inf")]))
_MAPS: Final = (
    pl.concat_list(pl.struct(key=pl.col("i"), value=pl.lit(b"\xff")))
    .cast(pl.List(pl.Struct(_PAIR)))
    .cast(pl.Map(_PAIR["key"], _PAIR["value"]))
)
_OF_PARQUET: Final[Mapping[str, Edit]] = {
    "cut off": _maybe(lambda data: data[: len(data) // 2]),
    "empty": _empty,
    "noise": _maybe(lambda data: bytes(range(256)) * 4),
    "noise in the middle": _maybe(lambda data: data[:40] + b"\xff" * 40 + data[80:]),
    "no rows": lambda data: (_written(_frame(data)[:0]), "", False, 0),
    "no columns": lambda data: (_written(pl.DataFrame()), "", False, 0),
    "a required column less": _maybe(lambda data: _written(_frame(data).drop("member"))),
    "a column of structs more": _kept(lambda data: _written(_frame(data).with_columns(more=pl.struct("i", "id")))),
    "a column of maps more": _kept(lambda data: _written(_frame(data).with_columns(more=_MAPS))),
    "numbers that are none more": _kept(lambda data: _written(_frame(data).with_columns(more=_NOT_NUMBERS))),
    "texts as categories": _kept(
        lambda data: _written(_frame(data).with_columns(pl.col("id", "member").cast(pl.Categorical)))
    ),
    "texts as bytes": _kept(lambda data: _written(_frame(data).with_columns(pl.col("id").cast(pl.Binary)))),
    "a column of nulls": _kept(lambda data: _written(_frame(data).with_columns(i=pl.lit(None), s=pl.lit(None)))),
    "column named day": _kept(lambda data: _written(_frame(data).with_columns(day=pl.lit("x")))),
}
ODD: Final = {"csv": {**_TEXT, **_OF_CSV}, "ndjson": {**_TEXT, **_OF_NDJSON}, "parquet": _OF_PARQUET}


def odd_file(format_: str, kind: str, number: int) -> File:
    """A file of that kind."""
    data, ids = SANE[format_](number)
    odd, suffix, whole, refused = ODD[format_][kind](data)
    rows = ids if whole else None if whole is None else ()
    return File(kind, format_, number, odd, suffix, rows, refused)


def sane_file(format_: str, number: int) -> File:
    data, ids = SANE[format_](number)
    return File("sane", format_, number, data, rows=ids)


def folder_of(draw: Draw) -> list[File]:
    """Files of one format: sane ones, and one or two odd ones between them."""
    format_ = draw.of(tuple(ODD))
    files: list[File] = []
    for number in range(draw.number(1, 4)):
        is_odd = number == 0 or draw.chance(0.3)
        kind = draw.of(tuple(ODD[format_]))
        files.append(odd_file(format_, kind, number) if is_odd else sane_file(format_, number))
    return files


def play(files: Sequence[File], folder: Path) -> None:
    """Ingest a folder of files.

    Raises:
        AssertionError: rows are missing or doubled, or an odd file passed without a word; any error that names no file.
    """
    for file in files:
        (folder / file.name).write_bytes(file.data)
    format_ = files[0].format
    source = definitions(location=f"*.{format_}*", format=format_, topic="")
    runtime = runtime_for(folder / "home", source, folder, clock=ManualClock(clocks.NOW))
    if (error := _error(lambda: list(raw.ingest(runtime, "wide", [DAY])))) is not None:
        may_fail = [file for file in files if file.rows is None]
        assert may_fail, ("refused whole: " + error[:200], [file.kind for file in files])
        assert any(file.name in error for file in may_fail), ("no file named: " + error[:200],)
        return
    wide = runtime.release.sources["wide"]
    kept = tables.raw(runtime, wide).scan().select("_partition", "id").collect().rows()
    refused = tables.rejects(runtime, "wide")
    rejects = refused.scan().select("source_partition").collect().to_series().to_list() if refused.exists() else []
    for file in files:
        ids = sorted(name for partition, name in kept if partition == file.name)
        said = rejects.count(file.name)
        if file.rows is None:
            assert ids or said, (f"{file.format}, {file.kind}: passed in silence", file.data[:80])
        else:
            assert ids == sorted(file.rows), (f"{file.format}, {file.kind}: rows", ids, said)
            assert said >= file.refused, (f"{file.format}, {file.kind}: rejects", said)
            assert file.refused or not said, (f"{file.format}, {file.kind}: refused without reason", said)


def _error(ingest: Callable[[], object]) -> str | None:
    """What an error of the platform says; any other is nobody's to expect."""
    try:
        ingest()
    except SeqplatError as error:
        return str(error)
    return None
