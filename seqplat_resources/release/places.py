"""Where the data of a channel lives, so that no channel ever reads or replaces what another one made.

The channel that is published first in a home has its root, as an installation with one channel expects; every later
one has the part ``at/<channel>``. Which it is, the channel's own moves say from the first one on, so it depends on
nothing that may change. Channels from before that have no such word and are all at the root.
"""

import json
import re
from typing import Final

from seqplat_resources.errors import Final as FinalError
from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordConflict, RecordLog

ROOT: Final = ""
_PARTS: Final = "at"
# It becomes part of paths, URLs and keys. Braces decide where a cluster of Redis puts a key; blanks break URLs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# A step of a path, of names from before: nothing that leads to another folder.
_STEP = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]{1,200}")


class ChannelNameInvalid(FinalError):
    """A name that no channel can have."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        super().__init__(
            f"{channel[:80]!r} is no name of a channel; use up to 63 letters, digits, dots, underscores and hyphens, "
            "beginning with a letter or digit"
        )


def checked(channel: str) -> str:
    """The name, which may be that of a channel from before names were looked at.

    Raises:
        ChannelNameInvalid: its records would not lie where those of channels do.
    """
    if not all(_STEP.fullmatch(step) for step in channel.split("/")):
        raise ChannelNameInvalid(channel)
    return channel


def claim(home: Home, channel: str, others: list[str]) -> str:
    """The place of a channel that is new; asked again, the same. ``others`` are the channels that there are.

    Of several that are published first at the same time, one has the root: its name is written down by compare-and-set.

    Raises:
        ChannelNameInvalid
    """
    if not _NAME.fullmatch(channel):
        raise ChannelNameInvalid(channel)
    owner = RecordLog(home.installation.objects, "owner")
    if not owner.numbers():
        if others:  # from before owners were written down
            return f"{_PARTS}/{channel}"
        try:
            owner.append(json.dumps({"channel": channel}).encode(), after=0)
        except RecordConflict:
            pass
        else:
            return ROOT
    return ROOT if _owner(owner) == channel else f"{_PARTS}/{channel}"


def is_place(said: object) -> bool:
    """Whether this is a place that a channel can have: damaged, it would name the data of another one, or no data."""
    if not isinstance(said, str):
        return False
    above, _, name = said.partition("/")
    return said == ROOT or (above == _PARTS and bool(_NAME.fullmatch(name)))


def _owner(owner: RecordLog) -> object:
    try:
        return json.loads(owner.read(1).data)["channel"]
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return None  # whoever it was has moves that say so
