"""Requests as they go over the wire, and files of them for load generators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One request. ``raw`` is what goes over the wire."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def raw(self) -> bytes:
        length = {"Content-Length": str(len(self.body))} if self.body else {}
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **length}.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def write(requests: Sequence[Request], path: Path) -> Path:
    """Store requests for a generator: each as the length of its bytes on a line, and the bytes."""
    path.write_bytes(b"".join(b"%d\n%b" % (len(each.raw), each.raw) for each in requests))
    return path


def read(path: Path) -> list[bytes]:
    """What ``write`` stored."""
    found, data, at = [], path.read_bytes(), 0
    while at < len(data):
        end = data.index(b"\n", at)
        size = int(data[at:end])
        found.append(data[end + 1 : end + 1 + size])
        at = end + 1 + size
    return found
