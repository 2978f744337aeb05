"""Framed messages to JSON texts: a zero byte, the schema's id in four bytes, and what the schema says of the rest.

>>> open_framing({})
Traceback (most recent call last):
    ...
seqplat_resources.sources.schema_registry.errors.RegistrySettingsInvalid: SEQPLAT_SCHEMA_REGISTRY ...
>>> framing = open_framing({"SEQPLAT_SCHEMA_REGISTRY": "http://registry.example"})
>>> framing.opened([None, b"not framed"]).refused
{1: 'begins with the byte 0x6e, not with 0x00 and a schema id: it is not framed'}
>>> framing.close()
"""

import errno
import importlib
import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seqplat_resources.sources.schema_registry.client import RegistryAddress, RegistryClient
from seqplat_resources.sources.schema_registry.errors import MachineShort, MessageRefused, RegistrySettingsInvalid
from seqplat_resources.sources.schema_registry.schema import Reader, RegisteredSchema
from seqplat_resources.values.isolation import RAISED_BY_VALUES, one_line

# Kind of schema -> the module that makes readers of it. Each imports its library, which takes a while.
_KINDS: Final = {"AVRO": "fastavro_records", "PROTOBUF": "protobuf_records", "JSON": "jsonschema_rs_records"}
_LIBRARIES: Final = ("fastavro", "google.protobuf", "grpc_tools", "jsonschema_rs")
# Other errors of files come from what a schema calls its references.
_SHORT: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EACCES}
)
_HEADER_BYTES: Final = 5
_LARGEST_ID: Final = 2**31 - 1
# How long an id that was refused is not asked for again: a topic full of strange bytes must not become a request each.
_REFUSED_S: Final = 60.0
_MOST_REFUSED: Final = 100_000


@dataclass(frozen=True)
class OpenedMessages:
    """``texts``: per message its JSON, None for a tombstone and where ``refused`` says by number what is wrong."""

    texts: Sequence[bytes | None]
    refused: Mapping[int, str]


class Framing:
    """Opens messages by the schemas of one registry, each of which is fetched once. Called from several threads."""

    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry
        self._readers: dict[int, Reader] = {}
        self._refused: dict[int, tuple[float, str]] = {}

    def opened(self, values: Sequence[bytes | None]) -> OpenedMessages:
        """Every message as JSON, or why it is none.

        Raises:
            RegistryAway, MachineShort: a schema could not be had now; nothing is said of any message.
        """
        texts: list[bytes | None] = []
        refused: dict[int, str] = {}
        for number, value in enumerate(values):
            try:
                texts.append(None if value is None else self._text(value))
            except MessageRefused as error:
                texts.append(None)
                refused[number] = str(error)
        return OpenedMessages(texts, refused)

    def close(self) -> None:
        self._registry.close()

    def _text(self, value: bytes) -> bytes:
        number = _schema_id(value)
        reader = self._readers.get(number) or self._reader(number)
        try:
            return reader(value[_HEADER_BYTES:])
        except RAISED_BY_VALUES as error:
            raise MessageRefused(f"does not fit schema {number}: {one_line(error)}") from error

    def _reader(self, number: int) -> Reader:
        until, why = self._refused.get(number, (0.0, ""))
        if time.monotonic() < until:
            raise MessageRefused(why)
        try:
            reader = self._readers[number] = reader_of(self._registry.schema(number), number)
        except MessageRefused as error:
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.clear()
            self._refused[number] = (time.monotonic() + _REFUSED_S, str(error))
            raise
        return reader


def open_framing(environment: Mapping[str, str]) -> Framing:
    """The framing by the registry that the environment names. Asks it nothing yet.

    Raises:
        RegistrySettingsInvalid: it names none, or the libraries are not installed.
    """
    if missing := [name for name in _LIBRARIES if not _is_installed(name)]:
        raise RegistrySettingsInvalid(
            f"a source has message_format='confluent', which needs {', '.join(missing)}, not installed here; "
            "install seqplat[registry]"
        )
    return Framing(RegistryClient(RegistryAddress.from_environment(environment)))


def reader_of(schema: RegisteredSchema, number: int) -> Reader:
    """What reads payloads of a schema.

    Raises:
        MessageRefused: its kind is unknown, or it is no schema of its kind.
        MachineShort: there was no room to find out.
    """
    if schema.kind not in _KINDS:
        raise MessageRefused(f"schema {number} is of type {schema.kind!r}; {', '.join(_KINDS)} can be read")
    module = importlib.import_module(f"seqplat_resources.sources.schema_registry.{_KINDS[schema.kind]}")
    try:
        reader: Reader = module.reader(schema)
        return reader
    except RAISED_BY_VALUES as error:
        if isinstance(error, OSError) and error.errno in _SHORT:
            raise MachineShort(number, error) from error
        # The whole of it would name a folder of this machine.
        why = error.strerror if isinstance(error, OSError) else one_line(error)
        raise MessageRefused(f"schema {number} cannot be read as {schema.kind}: {why}") from error


def _schema_id(value: bytes) -> int:
    if len(value) < _HEADER_BYTES:
        raise MessageRefused(f"{len(value)} bytes, but a framed message begins with a zero byte and a schema id of 4")
    if value[0] != 0:
        raise MessageRefused(f"begins with the byte {value[0]:#04x}, not with 0x00 and a schema id: it is not framed")
    number = int.from_bytes(value[1:_HEADER_BYTES], "big")
    if not 0 < number <= _LARGEST_ID:
        raise MessageRefused(f"{number} is no id of a schema")
    return number


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package it would be in
        return False
