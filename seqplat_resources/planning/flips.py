"""Names that sequences give to columns, turned to another column before nearly all rows have it.

>>> early_flips(shop, shop.release)
()
"""

from collections.abc import Iterator

from seqplat_resources.batch.backfill.coverage import ENOUGH, coverage
from seqplat_resources.release.runtime import Runtime
from sequence_defs.compiler.release import Release


def early_flips(runtime: Runtime, before: Release) -> tuple[str, ...]:
    """In words, which columns a release (that of ``runtime``) turns a sequence's name to too early, compared with the
    release ``before``; and what fills them first. A name turned back to a column that is covered is none.

    Cost: as ``coverage``, for columns that a name is turned to.
    """
    return tuple(_early_flips(runtime, before))


def _early_flips(runtime: Runtime, before: Release) -> Iterator[str]:
    for name in runtime.release.sequences.keys() & before.sequences.keys():
        old = before.sequence_columns(name)
        for out, by_type in sorted(runtime.release.sequence_columns(name).items()):
            for event_type, column in sorted(by_type.items()):
                was = old.get(out, {}).get(event_type)
                if was is None or was.name == column.name:
                    continue
                found = coverage(runtime, event_type, column.name)
                if not found.is_enough:
                    span = [str(day) for day in (found.lacking[0], found.lacking[-1])]
                    first = f"seqplat backfill {span[0]} {span[1]} --column {event_type}.{column.name}"
                    yield (
                        f"sequence {name}: {out} turns from {was.name} to {column.name} of {event_type}, which "
                        f"{found.share:.1%} of its rows have; turn it when {ENOUGH:.1%} do. First keep both, and run "
                        f"`{first}`"
                    )
