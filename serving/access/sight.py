"""Which checks a caller may see: those of what they may read, and of all that their tenant has."""

from collections.abc import Callable

from seqplat_resources.health.view import CheckRow, MigrationRow
from serving.access.caller import Caller
from serving.follow.release import ServedRelease

_OF_SEQUENCES = frozenset({"sequences", "shadow_sequences"})
_OF_EVENT_TYPES = frozenset({"events", "online", "shadow", "readout"})


def sees_checks(caller: Caller, serving: ServedRelease) -> Callable[[CheckRow], bool] | None:
    """None is all of them, as operators see. A key sees the sequences that it may read, and their event types; one that
    reads whatever its tenant has sees all that the tenant has.
    """
    if "operator" in caller.roles:
        return None
    tenant, sequences, event_types = _of(caller, serving)

    def sees(row: CheckRow) -> bool:
        of_sequence = row.layer in _OF_SEQUENCES and row.name in sequences
        of_event_type = row.layer in _OF_EVENT_TYPES and row.name in event_types
        return of_sequence or of_event_type or (tenant is not None and row.tenant == tenant)

    return sees


def sees_migration(caller: Caller, serving: ServedRelease) -> Callable[[MigrationRow], bool]:
    """As of checks."""
    if "operator" in caller.roles:
        return lambda _row: True
    tenant, _, event_types = _of(caller, serving)
    return lambda row: row.event_type in event_types or (tenant is not None and row.tenant == tenant)


def speaks_for(caller: Caller, tenant: str | None) -> bool:
    """Whether the caller may say that somebody knows of an incident in what a tenant has: operators, and keys of that
    tenant that read all it has.
    """
    return "operator" in caller.roles or (caller.reads_own and caller.tenant == tenant)


def _of(caller: Caller, serving: ServedRelease) -> tuple[str | None, set[str], set[str]]:
    plans = caller.plans(serving)
    event_types = {each for plan in plans.values() for each in plan.definition.event_types}
    return caller.tenant if caller.reads_own else None, set(plans), event_types
