"""Protobuf payloads to JSON, through protobuf and the protoc in grpcio-tools (extra ``registry``).

A registry gives the source text of a schema. Protoc is what defines that language, and the only parser of it that is
kept in step with it; it runs as a process, because on bad text it writes to stderr and could end ours.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from seqplat_resources.sources.schema_registry.json_text import base64_of, json_of
from seqplat_resources.sources.schema_registry.schema import Reader, RegisteredSchema

_PROTOC_S: Final = 60.0
# Messages inside messages; protoc itself allows fewer.
_MOST_INDEXES: Final = 64
_TYPES: Final = "google.protobuf."
_WRAPPERS: Final = frozenset(
    f"{_TYPES}{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_SPECIAL: Final = frozenset(
    _TYPES + kind for kind in ("Any", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Timestamp")
)


def reader(schema: RegisteredSchema) -> Reader:
    """Reads payloads of the schema, each of which says by numbers which message of the file it is.

    Raises:
        ValueError: protoc does not take the text; TypeError: its types contradict each other.
    """
    files = _compiled(schema)
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    main, known = files.file[-1], dict[tuple[int, ...], type[Message]]()

    def read(payload: bytes) -> bytes:
        indexes, start = _indexes(payload)
        if indexes not in known:
            known[indexes] = message_factory.GetMessageClass(pool.FindMessageTypeByName(_name(main, indexes)))
        record = known[indexes]()
        record.ParseFromString(payload[start:])
        if not record.IsInitialized():
            raise ValueError(f"without {', '.join(record.FindInitializationErrors())}, which must be there")
        return json_of(_value(record, pool))

    return read


def _compiled(schema: RegisteredSchema) -> descriptor_pb2.FileDescriptorSet:
    """The schema's file, last, and all it imports."""
    files = {path: one.text for path, one in schema.all_references()}
    name = "message.proto"
    while name in files:
        name = f"_{name}"
    with tempfile.TemporaryDirectory(prefix="seqplat-proto-") as folder:
        for path, text in {**files, name: schema.text}.items():
            if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"{path!r} is no name of a file to import")
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        out = Path(folder, "descriptors.bin")
        _run_protoc(Path(folder), name, out)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def _run_protoc(folder: Path, name: str, out: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_imports"]
    command += [f"--descriptor_set_out={out}", str(folder / name)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PROTOC_S, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"protoc took more than {_PROTOC_S:g} s") from None
    if done.returncode:
        said = _complaint(done.stderr.replace(f"{folder}/", ""))
        raise ValueError(said or f"protoc ended with {done.returncode}")


def _complaint(stderr: str) -> str:
    """The first of protoc's lines about a file; what its libraries log stands between them."""
    lines = stderr.strip().splitlines()
    return next((line for line in lines if ".proto:" in line), lines[-1] if lines else "")


def _indexes(payload: bytes) -> tuple[tuple[int, ...], int]:
    """Which message of its file a payload is, outermost first, and where its bytes begin."""
    numbers = _zigzag(payload)
    count, start = next(numbers)
    if not 0 <= count <= _MOST_INDEXES:
        raise ValueError(f"{count} is no number of message indexes")
    found: list[int] = []
    for _ in range(count):
        index, start = next(numbers)
        found.append(index)
    return tuple(found) or (0,), start


def _zigzag(payload: bytes) -> Iterator[tuple[int, int]]:
    """The numbers that a payload begins with, and where each ends."""
    number = shift = 0
    for end, byte in enumerate(payload, start=1):
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield (number >> 1) ^ -(number & 1), end
            number = shift = 0
        elif shift > 63:
            break
    raise ValueError("it ends within its message indexes")


def _name(file: descriptor_pb2.FileDescriptorProto, indexes: tuple[int, ...]) -> str:
    names, inside = [file.package] if file.package else [], list(file.message_type)
    for index in indexes:
        if not 0 <= index < len(inside):
            raise ValueError(f"its schema has no message {list(indexes)}")
        names.append(inside[index].name)
        # The types that protoc makes of maps are not in the text, which is what the numbers count.
        inside = [one for one in inside[index].nested_type if not one.options.map_entry]
    return ".".join(names)


def _value(record: Any, pool: DescriptorPool) -> Any:
    """A message with its fields as the schema writes them; well-known types as JSON has them."""
    kind: Descriptor = record.DESCRIPTOR
    if kind.full_name in _SPECIAL:
        return json_format.MessageToDict(record, preserving_proto_field_name=True, descriptor_pool=pool)
    if len(unknown := UnknownFieldSet(record)):
        raise ValueError(f"{kind.full_name} has no field {unknown[0].field_number}, which is in it")
    if kind.full_name in _WRAPPERS:
        return record.value
    fields = {field.name: field for field in kind.fields}
    fields |= {f"[{field.full_name}]": field for field, _ in record.ListFields() if field.is_extension}
    return {
        name: _field(record, field, pool)
        for name, field in fields.items()
        if not field.has_presence or (field.is_extension or record.HasField(field.name))
    }


def _field(record: Any, field: FieldDescriptor, pool: DescriptorPool) -> Any:
    value = record.Extensions[field] if field.is_extension else getattr(record, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inside = field.message_type.fields_by_name["value"]
        return {_key(key): _one(value[key], inside, pool) for key in value}
    if field.is_repeated:
        return [_one(item, field, pool) for item in value]
    return _one(value, field, pool)


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _one(value: Any, field: FieldDescriptor, pool: DescriptorPool) -> Any:
    if field.message_type is not None:
        return _value(value, pool)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    return base64_of(value) if isinstance(value, bytes) else value
