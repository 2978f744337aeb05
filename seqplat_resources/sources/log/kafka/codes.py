"""What a broker's error numbers mean to a reader or writer, said once for both clients. Numbers are Kafka's own."""

from typing import Final

# The topic or partition is not there.
UNKNOWN_TOPIC: Final = 3
# The broker knows who is asking, or cannot find out, and says no.
DENIED: Final = frozenset({29, 30, 31, 33, 34, 53, 58, 65})
# What passes without anybody's doing: leaders are elected, brokers start, end, or catch up with what others know.
PASSING: Final = frozenset(
    {
        -1,  # an error of the broker that has no number
        2,  # a message that was damaged on its way
        *(5, 6, 8, 9),  # no leader yet, not the leader, no broker, no replica
        *(7, 13),  # too late, cut off
        *(11, 41),  # another controller
        *(14, 15, 16),  # the coordinator is starting, away, or another
        *(19, 20),  # too few replicas
        *(56, 72),  # the broker's disk, its listener
        51,  # another transaction
        *(70, 71, 106, 122, 123),  # a session of fetching is over
        *(74, 75, 77),  # leaders of another epoch, or a broker
        78,  # the leader does not know its end yet
        *(80, 83, 84),  # elections
        *(88, 89),  # wait for a commit, or for the quota
        *(100, 103),  # a topic that not every broker has heard of
    }
)
