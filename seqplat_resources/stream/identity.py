"""That a topic is the one whose offsets are remembered: one that was deleted and made again has others.

Positions in a new topic that has become longer than the old one was would pass over its first messages, unnoticed; and
rows of it would take places that rows of the old one have in the archive.
"""

from contextlib import suppress

import obstore
from obstore.exceptions import AlreadyExistsError

from seqplat_resources.home import Home
from seqplat_resources.sources.log.contract import LogSource
from seqplat_resources.sources.log.errors import TopicMadeAnew

_FOLDER = "streams/topics"


def require_same(home: Home, log: LogSource, topic: str) -> None:
    """Note what the topic is where nobody did before.

    Raises:
        TopicMadeAnew: it is another one than then. And as the log does.
    """
    if not (now := log.identity(topic)):
        return
    path = f"{_FOLDER}/{topic}"
    with suppress(AlreadyExistsError):
        obstore.put(home.objects, path, now.encode(), mode="create")
    noted = bytes(home.objects.get(path).bytes()).decode(errors="replace").strip()
    if not noted:  # cut short by a full disk
        obstore.put(home.objects, path, now.encode())
    elif noted != now:
        raise TopicMadeAnew(topic, note=home.uri(path))
