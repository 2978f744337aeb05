"""What the application needs of this package, made as the settings say."""

from functools import partial

from serving.access.audit.files import destination
from serving.access.audit.log import AccessLog, user_hash
from serving.access.audit.readers import Readers
from serving.access.follower import KeyFollower
from serving.settings import Settings

_MB = 1_000_000


def key_follower(settings: Settings) -> KeyFollower:
    """The keys of the home; nothing is read yet."""
    return KeyFollower(settings.home, usage_file=settings.usage, hosts=settings.hosts)


def access_log_of(settings: Settings, keys: KeyFollower) -> AccessLog:
    """The access log; nothing is opened yet. User ids are hashed with the key of the ring in force."""

    def hashed(user: str) -> str:
        return user if settings.access_log_plain else user_hash(keys.log_key, user)

    opened = partial(destination, settings.access_log, settings.access_log_mb * _MB)
    return AccessLog(opened, hashed, Readers(settings.home))
