"""Questions to a schema registry over HTTP, each bounded in time and size; knows nothing of messages.

Nothing it raises or logs contains credentials.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import httpx
import msgspec

from seqplat_resources.clock import Deadline
from seqplat_resources.sources.schema_registry.errors import MessageRefused, RegistryAway, RegistrySettingsInvalid
from seqplat_resources.sources.schema_registry.schema import RegisteredSchema

VARIABLE: Final = "SEQPLAT_SCHEMA_REGISTRY"
# Schemas are some KB; generated ones reach a MB.
MAX_ANSWER_BYTES = 16 << 20
# References of references; more is a loop that the registry should not have let in.
MAX_DEPTH = 32
# What says of an id that there is none. Every other status but 200 is about the registry or its user.
_ABSENT = frozenset({404, 410, 422})


@dataclass(frozen=True)
class RegistryAddress:
    """Where a registry is and how to prove who one is. Its text, also in tracebacks, shows ``where`` alone."""

    where: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RegistryAddress":
        """``SEQPLAT_SCHEMA_REGISTRY``: ``http[s]://[user:password@]host[:port][/path]``.

        Raises:
            RegistrySettingsInvalid: not set, or not written so.
        """
        written = environment.get(VARIABLE, "").strip()
        if not written:
            raise RegistrySettingsInvalid(
                f"{VARIABLE} is not set, in the environment, but a source has message_format='confluent'; "
                "set it to http[s]://[user:password@]host[:port]"
            )
        try:
            parts = urlsplit(written)
            port = "" if parts.port is None else f":{parts.port}"
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        except ValueError:  # what it says could be a piece of a password
            parts, port, host = urlsplit(""), "", None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise RegistrySettingsInvalid(
                f"{VARIABLE} is no address, in the environment (it is not shown: it may hold a password); write "
                "http[s]://[user:password@]host[:port], other characters than letters and digits in user and "
                "password as %40 for @"
            ) from None
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        where = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
        return cls(where, (user, password) if user or password else None)


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Answer(msgspec.Struct, rename="camel"):
    schema: str
    schema_type: str | None = None
    references: list[_Reference] | None = None


class RegistryClient:
    """Connections to one registry. Called from several threads at once; remembers referenced schemas."""

    def __init__(self, address: RegistryAddress, *, within_s: float = 10.0) -> None:
        self.where, self._within_s = address.where, within_s
        # NOTE: trust_env=False keeps proxies and ~/.netrc of the process out; SSL_CERT_FILE names a private authority.
        self._client = httpx.Client(
            auth=address.credentials,
            headers={"accept": "application/vnd.schemaregistry.v1+json, application/json"},
            verify=ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
        )
        self._versions: dict[tuple[str, int], RegisteredSchema] = {}

    def schema(self, number: int) -> RegisteredSchema:
        """The schema of an id, with all it refers to.

        Raises:
            MessageRefused: there is none, or something it refers to is not there.
            RegistryAway: no usable answer within ``within_s``.
        """
        return self._registered(f"/schemas/ids/{number}", f"schema {number}", depth=0)

    def close(self) -> None:
        self._client.close()

    def _registered(self, path: str, asked: str, depth: int) -> RegisteredSchema:
        if depth > MAX_DEPTH:
            raise MessageRefused(f"{asked}: schemas refer to each other more than {MAX_DEPTH} deep")
        answer = self._answer(path, asked)
        references = tuple((one.name, self._version(one, depth + 1)) for one in answer.references or ())
        return RegisteredSchema((answer.schema_type or "AVRO").upper(), answer.schema, references)

    def _version(self, reference: _Reference, depth: int) -> RegisteredSchema:
        key = (reference.subject, reference.version)
        if key not in self._versions:
            path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
            asked = f"version {reference.version} of subject {reference.subject!r}"
            self._versions[key] = self._registered(path, asked, depth)
        return self._versions[key]

    def _answer(self, path: str, asked: str) -> _Answer:
        status, body = self._get(path, asked)
        if status in _ABSENT:
            raise MessageRefused(f"{asked} is not in the schema registry at {self.where} (status {status})")
        if status != httpx.codes.OK:
            raise self._away(f"status {status}", asked)
        try:
            return msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._away("an answer that is no schema", asked) from None

    def _get(self, path: str, asked: str) -> tuple[int, bytes]:
        deadline, parts, size = Deadline.after(self._within_s), list[bytes](), 0
        try:
            with self._client.stream("GET", self.where + path, timeout=self._within_s) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > MAX_ANSWER_BYTES:
                        raise self._away(f"an answer of more than {MAX_ANSWER_BYTES} bytes", asked)
                    if deadline.is_over:
                        raise self._away(f"no whole answer within {self._within_s:g} s", asked)
                return response.status_code, b"".join(parts)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._away(f"no answer ({type(error).__name__})", asked) from None

    def _away(self, why: str, asked: str) -> RegistryAway:
        return RegistryAway(why, asked=asked, where=self.where)
