"""Cost: what grows without bound, or is too large for one answer."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import sequence_columns
from sequence_defs.analysis.wording import label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, Versioned, parse_dtype

# Events of one answer. Above it pointer-form training sets and day segments are the right tool, not a longer list.
MAX_LENGTH = 65_536
# Bytes of vectors in one answer: 300 such answers a second fill a 10 Gbit/s link.
MAX_VECTOR_BYTES = 4 * 1024 * 1024
_ITEM_BYTES = {"int8": 1, "float16": 2, "float32": 4}


@rule("SP401", "error", "a sequence has a length")
def unbounded_length(project: Project) -> Iterator[Finding]:
    """One very active user would otherwise decide how long every read may take."""
    for sequence in project.sequences.values():
        if sequence.length is None:
            yield Finding(
                sequence.declared_at,
                f"{label(sequence)} has no length, so an answer grows with the user's history",
                "write length=<events>, e.g. length=512",
            )


@rule("SP402", "error", f"a sequence has at most {MAX_LENGTH} events")
def excessive_length(project: Project) -> Iterator[Finding]:
    """Answers are assembled in memory; longer histories are read from the lake."""
    for sequence in project.sequences.values():
        if sequence.length is not None and sequence.length > MAX_LENGTH:
            yield Finding(
                sequence.declared_at,
                f"{label(sequence)} asks for {sequence.length} events, more than {MAX_LENGTH}",
                f"write length={MAX_LENGTH} or less, and read longer histories from the lake",
            )


@rule("SP403", "warning", f"vectors of one answer stay below {MAX_VECTOR_BYTES // 1024 // 1024} MiB")
def wide_vectors(project: Project) -> Iterator[Finding]:
    """Embeddings times length is what answers weigh."""
    for sequence in project.sequences.values():
        vectors = {
            out: max(_vector_bytes(column) for column in by_type.values())
            for out, by_type in sequence_columns(project, sequence).items()
            if by_type and any(_vector_bytes(column) for column in by_type.values())
        }
        total = sum(vectors.values()) * (sequence.length or 0)
        if total > MAX_VECTOR_BYTES:
            yield Finding(
                sequence.declared_at,
                f"{label(sequence)} answers with up to {total / 1024 / 1024:.1f} MiB of vectors: "
                f"{listed(vectors)} at length {sequence.length}",
                f"write length={max(MAX_VECTOR_BYTES // sum(vectors.values()), 1)} or less, a smaller item type, "
                "or leave the vectors to readers that join them by key",
            )


@rule("SP404", "warning", "a versioned value does not live for ever")
def unbounded_staleness(project: Project) -> Iterator[Finding]:
    """Without an end, a feed that stopped keeps serving its last values, and every key ever seen stays current."""
    for enrichment in project.enrichments.values():
        if isinstance(enrichment, Versioned) and enrichment.max_age_days is None and enrichment.valid_to is None:
            yield Finding(
                enrichment.declared_at,
                f"{label(enrichment)} has neither max_age_days nor valid_to, so a value never gets too old",
                "write max_age_days=<days>, or valid_to=Time(...)",
            )


def _vector_bytes(column: Column) -> int:
    parsed = parse_dtype(column.dtype)
    return parsed.dim * _ITEM_BYTES[parsed.item] if parsed.kind == "vector" else 0
