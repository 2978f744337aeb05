"""What has to happen in one step on the server, in Lua. Every script touches only keys that it is given, of one slot.

Numbers are compared as doubles, which are exact up to 2^53: versions, sequences and tokens stay far below, and offsets
are compared as text. An answer begins with a word: ``ok``, or what was found instead.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar


@dataclass(frozen=True)
class Script:
    """A script; calling it gives the command that runs it."""

    text: str
    by_sha: ClassVar[dict[str, "Script"]] = {}

    def __post_init__(self) -> None:
        Script.by_sha[self.sha] = self

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[bytes], *arguments: Any) -> tuple[Any, ...]:
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)
