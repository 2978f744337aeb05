"""A schema as a registry has it, with the schemas it refers to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

# The payload of a message -> one JSON text. Raises whatever the bytes make it raise. Pure, and called by many threads.
Reader = Callable[[bytes], bytes]


@dataclass(frozen=True)
class RegisteredSchema:
    """``kind`` is AVRO, PROTOBUF or JSON. ``references`` are called as ``text`` calls them (a type, a file, a URL)."""

    kind: str
    text: str
    references: tuple[tuple[str, "RegisteredSchema"], ...] = ()

    def all_references(self) -> Iterator[tuple[str, "RegisteredSchema"]]:
        """Each name once, those that others refer to before them."""
        seen: set[str] = set()

        def of(schema: "RegisteredSchema") -> Iterator[tuple[str, "RegisteredSchema"]]:
            for name, reference in schema.references:
                if name not in seen:
                    seen.add(name)
                    yield from of(reference)
                    yield name, reference

        return of(self)
