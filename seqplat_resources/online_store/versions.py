"""Which versions of a user's day its readers still need, and what of it can be rolled up. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


def visible(versions: Iterable[int], bucket_version: int) -> int | None:
    """The version that a reader of ``bucket_version`` sees: the newest not above it, if any."""
    return max((version for version in versions if version <= bucket_version), default=None)


def superseded(versions: Iterable[int], bucket_versions: Iterable[int]) -> set[int]:
    """The versions that no reader of any of ``bucket_versions`` sees."""
    stored = set(versions)
    return stored - {visible(stored, bucket_version) for bucket_version in bucket_versions}


@dataclass(frozen=True)
class RolledDay:
    """What rolling does with one day of a user.

    ``version`` is of the rows that the rolled block has afterwards, None where it has none of the day; ``is_taken``
    says that they are a day block's now. The day's entries ``deleted`` go.
    """

    version: int | None
    is_taken: bool = False
    deleted: frozenset[int] = frozenset()


def rolled_day(entries: Mapping[int, bool], rolled: int | None, bucket_versions: Collection[int]) -> RolledDay:
    """Roll up one day of a user.

    ``entries`` are the versions stored as day entries, and whether each only says that the user left (a tombstone);
    ``rolled`` is the version in a rolled block, if any; ``bucket_versions`` are those that kept epochs show.

    No reader may see the difference, so a day is taken where all that see anything of it see the same. What the newest
    version is stays stored, seen or not: the digest that the next publication compares with describes it.
    """
    stored = set(entries) if rolled is None else {*entries, rolled}
    seen = {version for bucket in bucket_versions if (version := visible(stored, bucket)) is not None}
    if rolled is not None and (rolled in seen or rolled == max(stored)):
        return RolledDay(rolled)
    if len(seen) != 1:
        return RolledDay(None)
    [version] = seen
    older = frozenset(entry for entry in entries if entry <= version)
    if entries[version]:
        return RolledDay(None, deleted=older)
    return RolledDay(version, is_taken=True, deleted=older)
