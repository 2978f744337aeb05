"""Who may read what, and how much: API keys, grants, quotas, and the log of who read what."""

from serving.refusals import Refused
from serving.tenants.access import Caller
from serving.tenants.authentication import Authenticated, caller_of
from serving.tenants.following import KeyFollower

__all__ = ["Authenticated", "Caller", "KeyFollower", "Refused", "caller_of"]
