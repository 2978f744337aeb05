"""What became of an enrichment cell. Stored as int8, so that a column of one value costs nothing."""

from enum import IntEnum


class CellStatus(IntEnum):
    """A row written before the enrichment was attached has null, which reads as PENDING."""

    VALUE = 0  # looked up and found
    NULL = 1  # looked up, nothing there
    PENDING = 2  # not computed yet: its table or service was not available
    ERROR = 3  # computing it failed
