"""The error tree: what a caller may retry, and what it may not."""


class SeqplatError(Exception):
    """Base of every error this platform raises on purpose; the message says what, where and how to fix."""


class Retryable(SeqplatError):
    """Trying again later, unchanged, may succeed (a held lease, a store that is away)."""


class Final(SeqplatError):
    """Trying again without a change will fail the same way (a missing column, an unknown name)."""
