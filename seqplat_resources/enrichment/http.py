"""One POST to an enrichment service: bounded in time and size, repeated while there is time. Knows no keys or values.

Nothing it raises or logs contains a header, because headers carry secrets.
"""

import ssl
import time
from collections.abc import Mapping

import httpx

from seqplat_resources.errors import Retryable

# An answer for a batch of embeddings is some MB; more than this is a mistake, and would be memory.
MAX_ANSWER_BYTES = 32 << 20
# A dropped connection or a restarting instance is over by the second attempt; more would be a load of their own.
ATTEMPTS = 3
# Before the second attempt; doubled after it.
FIRST_WAIT_S = 0.02

_PASSING = frozenset({429, 500, 502, 503, 504})


class ServiceFailed(Retryable):
    """No usable answer; says why in words that are safe to log. Stays inside this package."""

    def __init__(self, why: str, *, passes: bool) -> None:
        self.why, self.passes = why, passes
        super().__init__(why)


class HttpClient:
    """Connections to one URL. Called from several threads at once."""

    def __init__(self, url: str, headers: Mapping[str, str], *, connections: int) -> None:
        self._url = url
        # NOTE: trust_env=False keeps proxies and ~/.netrc credentials of the process out of it; certificates are
        # those OpenSSL trusts, so SSL_CERT_FILE names a private authority.
        self._client = httpx.Client(
            headers={**headers, "content-type": "application/json", "accept": "application/json"},
            limits=httpx.Limits(max_connections=connections),
            verify=ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
        )

    def post(self, body: bytes, *, deadline: float) -> bytes:
        """The answer's body.

        ``deadline`` is a ``time.monotonic()``: sockets wait in real time, whatever clock the caller has. An answer that
        trickles in may hold this thread for as long again, so callers that cannot wait must not wait for the thread.

        Raises:
            ServiceFailed: no attempt gave an answer in time.
        """
        wait = FIRST_WAIT_S
        for _ in range(ATTEMPTS - 1):
            try:
                return self._post_once(body, deadline)
            except ServiceFailed as failed:
                if not failed.passes or time.monotonic() + wait >= deadline:
                    raise
            time.sleep(wait)
            wait *= 2
        return self._post_once(body, deadline)

    def close(self) -> None:
        self._client.close()

    def _post_once(self, body: bytes, deadline: float) -> bytes:
        if (left := deadline - time.monotonic()) <= 0:
            raise ServiceFailed("no time left", passes=False)
        try:
            with self._client.stream("POST", self._url, content=body, timeout=left) as response:
                if response.status_code != httpx.codes.OK:
                    raise ServiceFailed(f"status {response.status_code}", passes=response.status_code in _PASSING)
                return _read(response, deadline)
        except httpx.TransportError as error:
            raise ServiceFailed(type(error).__name__, passes=True) from None
        except httpx.HTTPError as error:
            raise ServiceFailed(type(error).__name__, passes=False) from None


def _read(response: httpx.Response, deadline: float) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ServiceFailed(f"an answer of more than {MAX_ANSWER_BYTES} bytes", passes=False)
        if time.monotonic() > deadline:
            raise ServiceFailed("the answer took too long", passes=False)
    return b"".join(parts)
