"""Names of sequences and columns, checked against a release, as grants. Pure: reads and changes nothing.

What an administrator asks for either comes out as a grant or is refused with the nearest name; nothing is narrowed or
widened in silence.
"""

from collections.abc import Collection, Iterable, Mapping

from seqplat_resources.errors import Final
from seqplat_resources.release.sequence_plan import ALWAYS, SequencePlan
from seqplat_resources.release.store import LoadedRelease
from sequence_defs.analysis.wording import instead, listed
from sequence_defs.compiler.release import Release
from sequence_defs.schema import Sequence
from serving.access.keys.ring import Grant


class CannotGrant(Final):
    """A name that is not there, or something that this key may not be given this way."""


def require_tenant(release: Release, tenant: str) -> None:
    """
    Raises:
        CannotGrant: no such tenant.
    """
    if tenant not in release.tenants:
        fix = instead(tenant, release.tenants, f"define Tenant(name={tenant!r}) and publish it")
        raise CannotGrant(f"there is no tenant {tenant!r} in the release; {fix}")


def require_sequence(release: Release, name: str) -> Sequence:
    """The sequence of that name.

    Raises:
        CannotGrant: there is none.
    """
    if name not in release.sequences:
        fix = instead(name, release.sequences, "`seqplat check` counts what there is")
        raise CannotGrant(f"there is no sequence {name!r} in the release; {fix}")
    return release.sequences[name]


def own_grants(
    loaded: LoadedRelease,
    tenant: str,
    sequences: Collection[str],
    columns: Mapping[str, Collection[str]],
    pii: Iterable[str],
) -> dict[str, Grant]:
    """Grants of a tenant's own sequences that differ from "all of it but personal data".

    ``sequences`` are those named, none for all of them. ``columns`` restricts by sequence. ``pii`` are
    ``column``, in every sequence in reach that has it now, or ``sequence:column``.

    Raises:
        CannotGrant: a name that is not there, or a sequence of another tenant.
    """
    own = [name for name, each in loaded.release.sequences.items() if each.tenant == tenant]
    for name in [*sequences, *columns]:
        _require_own(loaded.release, tenant, own, name)
    reach = list(dict.fromkeys([*sequences, *columns])) if sequences else own
    personal = _pii_by_sequence(loaded, reach, pii)
    return {
        name: grant(loaded, name, columns.get(name), personal.get(name, ()))
        for name in reach
        if sequences or name in columns or name in personal
    }


def grant(loaded: LoadedRelease, sequence: str, columns: Collection[str] | None, pii: Collection[str]) -> Grant:
    """Leave to read one sequence, whoever owns it.

    Raises:
        CannotGrant: a name that is not there; personal data among ``columns`` that ``pii`` does not name.
    """
    owner = require_sequence(loaded.release, sequence).tenant
    personal = pii_columns(loaded, sequence)
    for column in pii:
        _require_pii(loaded, sequence, column, personal)
    visible = SequencePlan.of(loaded, sequence, pii=pii).columns
    for column in columns or ():
        if column in personal and column not in pii:
            raise CannotGrant(f"column {column!r} of {sequence} is personal data; grant it by name: --pii {column}")
        if column not in visible:
            fix = instead(column, visible.keys() - ALWAYS.keys(), f"`seqplat get {sequence} USER` shows them")
            raise CannotGrant(f"sequence {sequence!r} has no column {column!r}; {fix}")
    return Grant(
        owner,
        tuple(dict.fromkeys(columns)) if columns is not None else None,
        tuple(dict.fromkeys(pii)),
    )


def pii_columns(loaded: LoadedRelease, sequence: str) -> list[str]:
    """Columns of personal data that a grant can open; none where the sequence drops them."""
    open_to_all = SequencePlan.of(loaded, sequence).columns
    return [name for name in SequencePlan.of(loaded, sequence, pii="*").columns if name not in open_to_all]


def _require_own(release: Release, tenant: str, own: Collection[str], name: str) -> None:
    if name in own:
        return
    if name in release.sequences:
        owner = release.sequences[name].tenant
        raise CannotGrant(
            f"sequence {name!r} belongs to tenant {owner!r}, not to {tenant!r}; "
            f"make the key without it, then {owner} grants it: seqplat keys grant ID {name}"
        )
    fix = instead(name, own, f"define a sequence of tenant {tenant!r} and publish it")
    raise CannotGrant(f"tenant {tenant!r} has no sequence {name!r} in the release; {fix}")


def _require_pii(loaded: LoadedRelease, sequence: str, column: str, personal: Collection[str]) -> None:
    if column in personal:
        return
    if column in SequencePlan.of(loaded, sequence).columns:
        raise CannotGrant(f"column {column!r} of {sequence} is not personal data; leave out --pii {column}")
    if column in loaded.release.sequence_columns(sequence):
        raise CannotGrant(
            f"sequence {sequence!r} drops the personal data in {column!r}; its owner would write pii='granted'"
        )
    fix = instead(column, personal, f"no column of {sequence} is personal data" if not personal else "leave it out")
    raise CannotGrant(f"sequence {sequence!r} has no column {column!r}; {fix}")


def _pii_by_sequence(loaded: LoadedRelease, reach: Collection[str], pii: Iterable[str]) -> dict[str, list[str]]:
    by_sequence = {name: pii_columns(loaded, name) for name in reach}
    found: dict[str, list[str]] = {}
    for asked in pii:
        sequence, _, column = asked.rpartition(":")
        if sequence and sequence not in reach:
            raise CannotGrant(f"--pii {asked}: {sequence!r} is not among {listed(reach) or 'no sequences'}")
        having = [sequence] if sequence else [name for name in reach if column in by_sequence[name]]
        if not having:
            known = {name for names in by_sequence.values() for name in names}
            fix = instead(column, known, "leave it out")
            raise CannotGrant(f"--pii {asked}: no sequence in reach has personal data in such a column; {fix}")
        for name in having:
            found.setdefault(name, []).append(column)
    return found
