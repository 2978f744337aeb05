"""Everything that can go wrong between a log and its readers and writers, in one place.

Addresses and names are in the texts, credentials never are.
"""

from typing import TYPE_CHECKING

from seqplat_resources.errors import Final, Retryable

if TYPE_CHECKING:  # the contract names these errors
    from seqplat_resources.sources.log.contract import Partition


class OffsetsLost(Final):
    """A reader asks for messages that the log has deleted; they cannot be read from it any more."""

    def __init__(self, partition: "Partition", *, wanted: int, earliest: int, where: str) -> None:
        self.partition, self.wanted, self.earliest = partition, wanted, earliest
        super().__init__(
            f"offsets {wanted} to {earliest - 1} of {partition} are gone, in {where}, which now starts at {earliest}; "
            'bring the missing messages in from elsewhere, or accept the loss with on_lost="earliest"; '
            "keep the log for longer than its slowest reader may be away"
        )


class OffsetsAhead(Final):
    """A reader remembers more messages than the log has."""

    def __init__(self, partition: "Partition", *, wanted: int, end: int, where: str) -> None:
        self.partition, self.wanted, self.end = partition, wanted, end
        super().__init__(
            f"offset {wanted} of {partition} is behind its end {end}, in {where}; the topic was made anew or lost "
            "messages since: check that this is the right log, and give a new topic a new name"
        )


class TopicMadeAnew(Final):
    """A topic was deleted, and another one has its name: what is remembered are offsets of the old one."""

    def __init__(self, topic: str, *, note: str) -> None:
        self.topic = topic
        super().__init__(
            f"topic {topic!r} is not the one that was read before: it was deleted and made again, or this is another "
            "log, and offsets that are remembered mean other messages in it. Give the new topic a new name, and the "
            f"source that name; if it holds the same messages at the same offsets, delete {note}"
        )


class LogUnreachable(Retryable):
    """No answer from the log in time.

    ``takes_connections``: somebody listens there, so what is wrong may be the credentials; not every client can tell.
    """

    def __init__(self, what: str, *, where: str, waited_s: float, takes_connections: bool = False) -> None:
        self.where, self.waited_s, self.takes_connections = where, waited_s, takes_connections
        fix = (
            "it takes connections and drops them: wait until it is up, or check SEQPLAT_KAFKA_SECURITY_PROTOCOL and "
            "the credentials (SEQPLAT_KAFKA_SASL_*, SEQPLAT_KAFKA_SSL_*)"
            if takes_connections
            else "start the broker (`make kafka-up` for a local one), or correct SEQPLAT_KAFKA_BOOTSTRAP"
        )
        super().__init__(f"{what}: no answer within {waited_s:g} s, from {where}; {fix}")


class LogAccessDenied(Final):
    """The log knows who is asking, or could not find out, and says no."""

    def __init__(self, what: str, *, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(
            f"{what} was refused ({reason}), by {where}; check SEQPLAT_KAFKA_SASL_*, SEQPLAT_KAFKA_SSL_* and the "
            "rights of that user on the topic and the group"
        )


class LogFailure(Retryable):
    """The log answered with an error that has no class of its own."""

    def __init__(self, what: str, *, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"{what} failed ({reason}), at {where}; try again, and look at the log of the broker")


class LogRejected(Final):
    """The log answered with an error that asking again will not change (a message too large, a codec)."""

    def __init__(self, what: str, *, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"{what} was rejected ({reason}), by {where}; mend what the reason names and start again")


class UnknownTopic(Final):
    """A topic, or a partition of it, that the log does not have."""

    def __init__(self, what: str, *, where: str, present: list[str]) -> None:
        self.what, self.where, self.present = what, where, present
        shown = ", ".join(present[:20]) + (", ..." if len(present) > 20 else "")
        super().__init__(f"{what} is not in {where}, which has {shown or 'none'}; create it, or correct the name")


class InvalidTopicName(Final, ValueError):
    """A name that no log can store."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        super().__init__(f"topic {topic!r} cannot be a topic; use 1 to 249 of letters, digits, '.', '_' and '-'")


class TopicDiffers(Final):
    """A topic exists, but not as it was asked for."""

    def __init__(self, topic: str, *, partitions: int, asked: int, where: str) -> None:
        self.topic, self.partitions, self.asked = topic, partitions, asked
        super().__init__(
            f"topic {topic!r} has {partitions} partition(s), not {asked}, in {where}; "
            "ask for what it has, or use a new topic: changing the number moves keys to other partitions"
        )


class PartitionBusy(Retryable):
    """Another writer appends to the partition."""

    def __init__(self, partition: "Partition", *, holder: str, where: str) -> None:
        self.partition, self.holder = partition, holder
        super().__init__(
            f"{partition} is being written by {holder}, in {where}; "
            "close that writer, or append to another partition: a file log takes one writer per partition"
        )


class CorruptLog(Final):
    """Stored records are not what a writer wrote, and not the unfinished end of a crashed one either."""

    def __init__(self, what: str, *, where: str) -> None:
        self.what, self.where = what, where
        super().__init__(
            f"{what}, in {where}; the disk or another program changed the file: restore it from a copy, "
            "or move it away and read on after it with on_lost='earliest'"
        )


class LogSettingsInvalid(Final):
    """A SEQPLAT_LOG or SEQPLAT_KAFKA_* setting that is missing, unknown or impossible."""
