"""What was seen and what would come of it, as tables."""

from collections.abc import Sequence

import polars as pl

from seqplat_resources.sampling.preview import Preview
from seqplat_resources.sampling.profile import Profile
from seqplat_resources.shown_text import plain
from sequence_defs.schema import Source
from serving.cli.output import console, size, table

# A source's max_rejected_share, if it says none.
USUAL_REFUSED: float = Source.model_fields["max_rejected_share"].default
_MOST_COLUMNS, _MOST_ROWS, _WIDE, _EXAMPLES = 40, 5, 8, 3


def show_profile(profile: Profile) -> None:
    """The file, and its columns: a line each."""
    _line(f"{profile.sample.name}: {_writing(profile)}; {profile.table.rows:,} rows looked at{_where(profile)}")
    shown = list(profile.table.attributes)[:_MOST_COLUMNS]
    rows = []
    for each in shown:
        known = each.values.drop_nulls()
        nulls = each.values.null_count() / max(1, each.values.len())
        note = profile.types[each.name].note
        why = profile.personal[each.name]
        times = profile.readings(each.name)
        notes = [times[0].describe() if times else "", f"personal data: {why}" if why else "", note]
        rows.append(
            (
                each.name,
                profile.dtypes[each.name],
                f"{nulls:.0%}" if nulls else "",
                f"{_distinct(known):,}",
                ", ".join(map(_short, known.head(_EXAMPLES).to_list())),
                "; ".join(filter(None, [*notes, f"field {each.field}" if each.field else ""])),
            )
        )
    table("", ("column", "type", "null", "distinct", "values", "seen"), rows, right=("null", "distinct"))
    if len(profile.table.attributes) > len(shown):
        _line(f"... and {len(profile.table.attributes) - len(shown):,} more columns")
    for note in profile.table.notes:
        _line(f"note: {note}")


def _distinct(values: pl.Series) -> int:
    return values.hash().n_unique() if values.dtype.is_nested() else values.n_unique()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _writing(profile: Profile) -> str:
    written, sample = profile.written, profile.sample
    parts = {"csv": "CSV", "ndjson": "JSON lines", "parquet": "Parquet", "delta": "a Delta table"}[written.format]
    if written.format == "csv":
        names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
        parts += f" with {names.get(written.csv.delimiter, repr(written.csv.delimiter))}, {written.csv.encoding}"
    return parts + (f", packed by {sample.packed}" if sample.packed else "")


def _where(profile: Profile) -> str:
    sample = profile.sample
    if sample.topic:
        return ", the newest messages"
    many = f", one of {sample.others + 1:,} files" if sample.others else ""
    if sample.is_whole:
        return many
    places = "beginning, middle and end" if len(sample.pieces) > 1 else "from its beginning"
    return f" of {size(sample.size_bytes)} ({places}){many}" if profile.written.format in ("csv", "ndjson") else many


def show_preview(preview: Preview, columns: Sequence[str], what: str) -> None:
    """The first rows, how many come of the sample, and what is refused."""
    shown = [name for name in columns if name in preview.events.columns]
    more = f" (and {len(shown) - _WIDE:,} more columns)" if len(shown) > _WIDE else ""
    place = next(name for name in ("offset", "_offset") if name in preview.events.columns)
    first = preview.events.sort(place).head(_MOST_ROWS)
    console.print()
    table(f"The first {what}, as the engine makes them{more}:", shown[:_WIDE], first.select(shown[:_WIDE]).rows())
    copies = f", {preview.copies:,} are copies" if preview.copies else ""
    _line(f"{preview.events.height:,} {what} from {preview.rows.height + preview.refused:,} rows of the sample{copies}")
    if preview.refused:
        _line(f"{preview.refused:,} row(s) would be refused ({preview.share:.2%}):", style="yellow")
        for reason, count in preview.reasons[:_MOST_ROWS]:
            _line(f"  {count:,} x {reason}", style="yellow")
        if preview.share > USUAL_REFUSED:
            _line("  more than the 1% that a build may refuse: mend the file, or say what is meant by flags")


def _line(text: str, *, style: str = "") -> None:
    console.print(plain(text), markup=False, soft_wrap=True, style=style or None)
