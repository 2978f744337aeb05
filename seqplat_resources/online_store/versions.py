"""Which versions of a block its readers still need. Pure."""

from collections.abc import Iterable


def visible(versions: Iterable[int], bucket_version: int) -> int | None:
    """The version that a reader of ``bucket_version`` sees: the newest not above it, if any."""
    return max((version for version in versions if version <= bucket_version), default=None)


def superseded(versions: Iterable[int], bucket_versions: Iterable[int]) -> set[int]:
    """The versions that no reader of any of ``bucket_versions`` sees."""
    stored = set(versions)
    return stored - {visible(stored, bucket_version) for bucket_version in bucket_versions}
