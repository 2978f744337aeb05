"""Who may read what, and how much: callers, grants, quotas.

Door: ``Authentication``, the layer before the application.
Admission, answers, routes and the command line may enter; it stands on api and follow.
"""

from serving.access.audit.log import AccessLog
from serving.access.authentication import Authentication, caller_of
from serving.access.caller import Caller
from serving.access.follower import KeyFollower
from serving.access.opening import access_log_of, key_follower
from serving.api.refusals import Refusal

__all__ = [
    "AccessLog",
    "Authentication",
    "Caller",
    "KeyFollower",
    "Refusal",
    "access_log_of",
    "caller_of",
    "key_follower",
]
