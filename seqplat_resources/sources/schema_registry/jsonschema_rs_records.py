"""JSON payloads that a JSON Schema describes, through jsonschema-rs (extra ``registry``): as they are, if they fit."""

import json
from typing import Any

import jsonschema_rs

from seqplat_resources.sources.schema_registry.schema import Reader, RegisteredSchema


def reader(schema: RegisteredSchema) -> Reader:
    """Checks payloads against the schema. Nothing is fetched but what the registry says that it refers to.

    Raises:
        whatever the library raises on what is no schema.
    """
    documents = {name: json.loads(reference.text) for name, reference in schema.all_references()}

    def retrieve(url: str) -> Any:
        for name, document in documents.items():
            if url == name or url.endswith(f"/{name.removeprefix('/')}"):
                return document
        raise ValueError(f"the registry names no reference {url!r}")

    written = json.loads(schema.text)
    says_draft = isinstance(written, dict) and "$schema" in written
    # Registries and their clients take a schema that does not say which draft it is for draft 7.
    kind = jsonschema_rs.validator_for if says_draft else jsonschema_rs.Draft7Validator
    validator = kind(written, retriever=retrieve)

    def read(payload: bytes) -> bytes:
        try:
            value = json.loads(payload, parse_constant=lambda _: 0.0)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return payload  # the reader of messages says best what is no JSON
        try:
            validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            raise ValueError(f"{error.message} at {_place(error.instance_path)}") from None
        return payload

    return read


def _place(path: list[str | int]) -> str:
    return "/".join(map(str, path)) or "its top"
