"""What can go wrong between a framed message and its JSON: of the registry, of its settings, or of one message.

Addresses are in the texts, credentials never are.
"""

from seqplat_resources.errors import Final, Retryable


class RegistryAway(Retryable):
    """No usable answer; whoever asks reads the same messages again later, so nothing is lost and nothing refused."""

    def __init__(self, why: str, *, asked: str, where: str) -> None:
        self.why, self.where = why, where
        super().__init__(
            f"{asked}: {why}, from the schema registry at {where}; wait until it is up, or correct "
            "SEQPLAT_SCHEMA_REGISTRY and the rights of its user"
        )


class MachineShort(Retryable):
    """A schema could not be compiled for want of disk, memory, processes or open files; no message is to blame."""

    def __init__(self, number: int, error: OSError) -> None:
        super().__init__(f"schema {number} could not be compiled on this machine: {error.strerror}; make room for it")


class RegistrySettingsInvalid(Final):
    """SEQPLAT_SCHEMA_REGISTRY is missing or is no address, or the extra ``registry`` is not installed."""


class MessageRefused(ValueError):
    """One message cannot be opened; the text is the reason of its reject. Stays inside this package."""
