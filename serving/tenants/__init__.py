"""Who may read what, and how much: API keys, grants, quotas, and the log of who read what."""

from serving.refusals import Refused
from serving.tenants.access import Caller
from serving.tenants.access_log import AccessLog
from serving.tenants.authentication import Authenticated, caller_of
from serving.tenants.following import KeyFollower
from serving.tenants.opening import access_log_of, key_follower

__all__ = [
    "AccessLog",
    "Authenticated",
    "Caller",
    "KeyFollower",
    "Refused",
    "access_log_of",
    "caller_of",
    "key_follower",
]
