"""Why a request is not answered, before anything is read for it. Each says no more than its caller may know."""

from collections.abc import Mapping

from serving.api.schemas import Problem

# Long enough for a client's wait to relieve the server, short enough for one peak not to empty the next seconds.
_RETRY_AFTER_S = 1
_REALM = 'Bearer realm="seqplat"'


class Refusal(Exception):
    """Base: ``problem`` is what is answered, with ``headers``."""

    def __init__(
        self, kind: str, status: int, detail: str, *, field: str | None, fix: str, headers: Mapping[str, str]
    ) -> None:
        self.headers = headers
        self.problem = Problem(
            f"urn:seqplat:problem:{kind}", kind.replace("-", " ").capitalize(), status, detail, field=field, fix=fix
        )
        super().__init__(f"{detail}; {fix}")


class Unauthenticated(Refusal):
    """No key, or none that opens anything: unknown, wrong, expired and revoked are one answer.

    ``why`` and ``key_id`` are for the access log; ``key_id`` only if there is such a key.
    """

    def __init__(self, why: str = "no key", *, key_id: str = "") -> None:
        self.why, self.key_id = why, key_id
        super().__init__(
            "unauthenticated",
            401,
            "this needs an API key that is valid",
            field="Authorization",
            fix="send 'Authorization: Bearer sp_...'; `seqplat keys create` makes a key, and /docs says what to ask",
            headers={"WWW-Authenticate": _REALM if why == "no key" else f'{_REALM}, error="invalid_token"'},
        )


class RoleNeeded(Refusal):
    """A valid key, for something else."""

    def __init__(self, role: str) -> None:
        super().__init__(
            "role-needed",
            403,
            f"this needs a key with the role {role!r}",
            field="Authorization",
            fix=f"use another key; `seqplat keys create TENANT --role {role}` makes one",
            headers={},
        )


class Overloaded(Refusal):
    """There is more to answer than this process can; ``reason`` is ``queue_full``, ``queue_time`` or ``no_room``."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            "overloaded",
            503,
            "there is more to answer than this server can in time",
            field=None,
            fix=f"send the request again after {_RETRY_AFTER_S} s, then after twice as long; more workers answer more",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
        )


class Abandoned(Refusal):
    """Whoever asked is gone, so the rest of the work is left undone. Nobody reads this."""

    def __init__(self) -> None:
        super().__init__("abandoned", 400, "the connection was closed", field=None, fix="ask again", headers={})
