"""What the application needs of this package, made as the settings say."""

from serving.settings import Settings
from serving.tenants.access_log import AccessLog, user_hash
from serving.tenants.following import KeyFollower
from serving.tenants.log_files import destination

_MB = 1_000_000


def key_follower(settings: Settings) -> KeyFollower:
    """The keys of the home; nothing is read yet."""
    return KeyFollower(settings.home, usage_file=settings.usage, hosts=settings.hosts)


def access_log_of(settings: Settings, keys: KeyFollower) -> AccessLog:
    """The access log; nothing is opened yet. User ids are hashed with the key of the ring in force."""

    def hashed(user: str) -> str:
        return user if settings.access_log_plain else user_hash(keys.log_key, user)

    return AccessLog(lambda: destination(settings.access_log, settings.access_log_mb * _MB), hashed)
