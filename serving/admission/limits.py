"""How much one request may ask for, judged before anything is read.

>>> basket, settings = SequencePlan.of(shop.loaded, "basket"), Settings(home=shop.home)
>>> within_limits(basket, BatchRequest(users=["ann", "bob"]), settings)
>>> within_limits(basket, BatchRequest(users=["ann"] * 5_000), settings)
Traceback (most recent call last):
    ...
serving.admission.limits.TooMuch: there are 5000 users in one request; send at most 1000 at once
"""

from seqplat_resources.release.sequence_plan import SequencePlan
from serving.api.refusals import Refusal
from serving.api.schemas import BatchRequest
from serving.settings import Settings

# Names and numbers beside the users, and of each user an id of 256 bytes of which JSON may escape every one.
_BODY_BYTES, _USER_BYTES = 1 << 18, 1 << 11


class TooMuch(Refusal):
    """A request that asks for more than one answer may hold."""

    def __init__(self, field: str | None, what: str, *, fix: str) -> None:
        super().__init__("too-much", 413, what, field=field, fix=fix, headers={})


def body_bytes(settings: Settings) -> int:
    """The largest body that a request for the most users can have."""
    return _BODY_BYTES + settings.max_users * _USER_BYTES


def within_limits(plan: SequencePlan, asked: BatchRequest, settings: Settings) -> None:
    """
    Raises:
        TooMuch: more users, or more events of all together, than an answer may have.
    """
    users = len(asked.users)
    if users > settings.max_users:
        fix = f"send at most {settings.max_users} at once"
        raise TooMuch("users", f"there are {users} users in one request", fix=fix)
    bounds = [bound for bound in (asked.limit, asked.top_k, plan.definition.length) if bound is not None]
    each = settings.max_events // users
    if not bounds or min(bounds) > each:
        most = f"up to {min(bounds)}" if bounds else "any number of"
        what = f"{users} users with {most} events each are more than the {settings.max_events} events of one answer"
        raise TooMuch("limit", what, fix=f"send a limit of at most {each}, or fewer users")
