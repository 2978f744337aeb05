"""What people are told of where a channel's data is: that it begins empty, or that another channel has the same."""

from collections.abc import Iterator

from seqplat_resources.commands import command
from seqplat_resources.errors import SeqplatError
from seqplat_resources.release.store import ReleaseStore


def shared_warning(store: ReleaseStore, channel: str) -> str:
    """Empty where no other channel has its data in the same place."""
    try:
        others = store.sharing(channel)
    except SeqplatError as error:  # of a channel that nobody asked for
        return f"whether other channels share the data of {channel!r} is not known: {error}"
    if not others:
        return ""
    names = ", ".join(map(repr, others))
    return (
        f"channel {channel!r} shares lake, online store and streams with {names}, as it is from before each channel "
        f"had its own: what one builds or streams, the other answers; to part them, publish to a new name, such as "
        f"`{command('publish', channel=f'{channel}-2')}`, fill that, and have its servers follow it by SEQPLAT_CHANNEL"
    )


def begins_empty(store: ReleaseStore, channel: str) -> Iterator[str]:
    """Of a channel that was published to for the first time beside others: where its data will be, what fills it."""
    home = store.home_of(channel)
    if not home.place:
        return
    yield f"channel {channel} is new: its data is apart from that of other channels, in {home.root}, and begins empty"
    yield (
        f"to fill it, with SEQPLAT_CHANNEL={channel}: `seqplat materialize FIRST_DAY LAST_DAY` builds every day from "
        "the source files anew (as long and as large as it was for the other channel), `seqplat stream` reads the "
        "topics from the oldest message that the log still has"
    )
