"""Names that sequences give to columns, turned to another column before nearly all rows have it."""

from dataclasses import replace
from typing import Final

from seqplat_resources.commands import command, in_channel
from seqplat_resources.planning.stored import StoredParts, days_without
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Ruling

# Readers that are turned to a column of which more is lacking see holes in their users' sequences.
ENOUGH: Final = 0.999


def early_flip(
    change: DefinitionChange, channel: str, before: Release, after: Release, stored: StoredParts
) -> DefinitionChange | None:
    """The change as it is refused, where it turns the name of a sequence's column to another column of an event type
    that fewer than 99.9 % of the published rows have; None for every other change. The way out fills what is lacking.
    """
    if not change.object.startswith("sequences/") or not (change.before and change.after):
        return None
    if not change.field.startswith("columns."):
        return None
    for event_type, column in sorted(change.after.items()):
        was = change.before.get(event_type)
        if was is None or was == column or event_type not in before.event_types:
            continue
        rows = stored.days_of(event_type)
        lacking = sorted(days_without(column, before, after, event_type, stored))
        share = 1 - sum(rows[day] for day in lacking) / max(1, sum(rows.values()))
        if share < ENOUGH:
            why = (
                f"the name turns from {was} to {column} of {event_type}, which {share:.1%} of its rows have: it would "
                f"be null in {len(lacking)} day(s), {lacking[0]} to {lacking[-1]}; it turns when {ENOUGH:.1%} have it"
            )
            days = (str(lacking[0]), str(lacking[-1]))
            fill = in_channel(
                channel, command("backfill", *days, f"+events/{event_type}+", column=f"{event_type}.{column}")
            )
            first = f"run `{fill}`, then publish this"
            if column not in before.event_columns(event_type):
                first = f"first publish {column} without turning the name to it; {first}"
            return replace(change, ruling=Ruling(change.kind, why, first))
    return None
