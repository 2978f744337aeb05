"""The columns that a sample offers: fields of CSV and Parquet, and what lies inside of JSON objects and structs."""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import polars as pl

from seqplat_resources.sampling.layout import MOST_COLUMNS, FileLayout, in_utf8, too_wide, without_repeated
from seqplat_resources.sampling.pieces import Sampled, SampleUnusable
from seqplat_resources.sources.formats import csv
from seqplat_resources.sources.formats.objects import fields_of, text_of
from seqplat_resources.values.isolation import RAISED_BY_VALUES
from sequence_defs.schema.base import NAME_PATTERN
from sequence_defs.schema.paths import parse_path, quoted

# How deep objects are opened, and how many rows of a large table are looked at (of text, the bytes are bounded).
_DEPTH, _ROWS = 4, 20_000
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAMED = re.compile(NAME_PATTERN)


@dataclass(frozen=True)
class Attribute:
    """``name`` is a column's, ``field`` where it is read, empty if that is its name.

    ``values`` are texts, or of the type that Parquet has. ``said`` counts how JSON wrote them: ``string``, ``number``,
    ``bool``, ``object``, ``array``; empty for other formats.
    """

    name: str
    field: str
    values: pl.Series
    said: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """``content`` are the sampled rows as a file of their format, which the decoder reads; ``notes`` what is odd."""

    attributes: tuple[Attribute, ...]
    rows: int
    content: bytes
    notes: tuple[str, ...] = ()


def table_of(sample: Sampled, written: FileLayout) -> Table:
    """The rows of a sample, some thousands at most.

    Raises:
        SampleUnusable: not one row of it can be read, or it has more columns than a definition may have.
    """
    try:
        found = _READERS[written.format](sample, written)
    except RAISED_BY_VALUES as error:
        if isinstance(error, SampleUnusable):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        way_out = (
            "say what it is with --format" if written.format in ("csv", "ndjson") else "it is damaged: write it again"
        )
        raise SampleUnusable(f"{sample.name} cannot be read as {written.format} ({reason}); {way_out}") from error
    if not found.rows:
        raise SampleUnusable(f"{sample.name} has no rows; name a file with some, as types are told by values")
    if len(found.attributes) > MOST_COLUMNS:
        raise too_wide(sample, len(found.attributes))
    return replace(found, attributes=tuple(_named(found.attributes)))


def _of_csv(sample: Sampled, written: FileLayout) -> Table:
    head = in_utf8(sample, written.csv.encoding)
    plain = [piece.decode(written.csv.encoding, "replace").encode() for piece in sample.pieces[1:]]
    records = csv.parse(head, written.csv)
    # A line in the middle of a file may lie within a field: where fields have lines, only the beginning is looked at.
    is_lined = records.rows.height + len(records.broken) == head.rstrip().count(b"\n")
    content = b"".join([head if head.endswith(b"\n") else head + b"\n", *(plain if is_lined else ())])
    rows = csv.parse(content, written.csv).rows if is_lined and plain else records.rows
    rows, repeated = without_repeated(rows, written.names)
    notes = [f"the header says {name!r} more than once: the first of them is read" for name in repeated if name.strip()]
    if unnamed := [name for name in rows.columns if not name.strip()]:
        rows = rows.drop(unnamed)
        notes.append("what has no name in the header is left out; it is kept in _extra")
    attributes = [Attribute(name, "", rows[name]) for name in rows.columns]
    if padded := [each.name for each in attributes if each.values.str.contains(r"^ +\S").mean() == 1.0]:
        notes.append(
            f"each {' and '.join(padded[:3])} begins with a space, which is kept; without: sed 's/, */,/g' FILE > NEW"
        )
    sent = content.decode(errors="replace").encode(written.csv.encoding, "replace")
    return Table(tuple(attributes), rows.height, sent, tuple(notes))


def _of_lines(sample: Sampled, _written: FileLayout) -> Table:
    lines = [line for piece in sample.pieces for line in piece.split(b"\n") if line.strip()]
    opened: list[dict[str, msgspec.Raw]] = []
    broken: Counter[str] = Counter()
    for line in lines:
        try:
            opened.append(fields_of(line))
        except (ValueError, RecursionError) as error:
            broken[str(error)] += 1
    if not opened:
        raise SampleUnusable(f"{sample.name}: no line is a JSON object ({next(iter(broken), 'there is none')})")
    notes = [f"{count} line(s) are no JSON object: {reason}" for reason, count in broken.most_common(2)]
    return Table(tuple(_inside(opened, ())), len(lines), b"\n".join(lines) + b"\n", tuple(notes))


def _inside(objects: Sequence[dict[str, msgspec.Raw]], above: tuple[str, ...]) -> Iterator[Attribute]:
    """Each field as text, those of objects one by one."""
    names = dict.fromkeys(name for one in objects for name in one)
    for name in list(names)[: MOST_COLUMNS + 1]:
        raws = [one.get(name) for one in objects]
        kinds = frozenset(map(_kind, {bytes(raw)[:1] for raw in raws if raw is not None})) - {"null"}
        path = (*above, name)
        if kinds == {"object"} and len(path) < _DEPTH:
            yield from _inside([_OBJECT.decode(raw) if raw and bytes(raw) != b"null" else {} for raw in raws], path)
            continue
        texts = pl.Series([_text(raw) for raw in raws], dtype=pl.String())
        field = ".".join(map(quoted, path)) if len(path) > 1 else ""
        yield Attribute("_".join(path) if len(path) > 1 else name, field, texts, kinds)


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return text_of(raw)
    except ValueError:  # half a character
        return None


def _kind(first: bytes) -> str:
    return {b'"': "string", b"{": "object", b"[": "array", b"t": "bool", b"f": "bool", b"n": "null"}.get(
        first, "number"
    )


def _of_parquet(sample: Sampled, written: FileLayout) -> Table:
    if not sample.path and not sample.is_whole:
        raise SampleUnusable(f"{sample.name} is Parquet, whose end says what is in it; download it and name the file")
    at = sample.path or io.BytesIO(sample.pieces[0])
    scan = pl.scan_parquet(at, glob=False) if written.format == "parquet" else pl.scan_delta(sample.path)
    height, third = scan.select(pl.len()).collect().item(), _ROWS // 4
    some = [scan.head(height if sample.is_whole else 2 * third)]
    if height > 2 * third and not sample.is_whole:
        some += [scan.slice(max(2 * third, height // 2), third), scan.slice(max(2 * third, height - third), third)]
    rows = pl.concat([each.collect() for each in some])
    attributes = [part for name in rows.columns for part in _parts(rows[name], (name,))]
    spans = [each.name for each in attributes if isinstance(each.values.dtype, pl.Duration)]
    notes = [f"{name} holds durations, which no column holds: it is kept in _extra" for name in spans]
    kept = [each for each in attributes if each.name not in spans]
    return Table(tuple(kept), rows.height, _as_parquet(rows), tuple(notes))


def _as_parquet(rows: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.write_parquet(file)
    return file.getvalue()


def _parts(values: pl.Series, path: tuple[str, ...]) -> Iterator[Attribute]:
    dtype = values.dtype
    if isinstance(dtype, pl.Struct) and len(path) < _DEPTH:
        for part in dtype.fields:
            yield from _parts(values.struct.field(part.name), (*path, part.name))
        return
    field = ".".join(map(quoted, path)) if len(path) > 1 else ""
    yield Attribute("_".join(path) if len(path) > 1 else path[0], field, values)


_READERS = {"csv": _of_csv, "ndjson": _of_lines, "parquet": _of_parquet, "delta": _of_parquet}


def _named(attributes: Sequence[Attribute]) -> Iterator[Attribute]:
    """With names that columns may have, each once; the field then says what it is called in the file."""
    # Of a path its last part is enough where nothing else is called so.
    wanted = [_plain(_last(each.field) if each.field else each.name) for each in attributes]
    times, taken = Counter(wanted), set[str]()
    for attribute, short in zip(attributes, wanted, strict=True):
        name = short if times[short] == 1 else _plain(attribute.name)
        free, number = name, 2
        while free in taken or (free != name and free in times):
            free, number = f"{name}_{number}", number + 1
        taken.add(free)
        field = attribute.field or (quoted(attribute.name) if free != attribute.name else "")
        yield replace(attribute, name=free, field=field)


def _last(path: str) -> str:
    return str([step for step in parse_path(path) if isinstance(step, str)][-1])


def _plain(name: str) -> str:
    """``Größe`` as ``grosse``, ``userId`` as ``user_id``: what sequences may call a column, too."""
    if _NAMED.fullmatch(name):
        return name
    latin = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", latin)
    plain = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_")[:56].lower()
    return plain if plain[:1].isalpha() else f"column_{plain}".rstrip("_")
