"""Commands of ours that are suggested to people, so that a shell takes them as they are meant.

>>> command("get", "recent", "ann & bob", limit="3")
"seqplat get recent 'ann & bob' --limit 3"
"""

import os
import shlex


def command(name: str, *arguments: str, **options: str) -> str:
    """``seqplat <name>`` with arguments and ``--options``. Arguments of any text stay what they are."""
    given = [word for option, value in options.items() for word in (f"--{option}", value)]
    words = [*given, "--", *arguments] if any(word.startswith("-") for word in arguments) else [*arguments, *given]
    return " ".join(map(_quoted, ["seqplat", name, *words]))


def in_channel(channel: str, text: str) -> str:
    """A command for a channel that is not the one of this process's settings, which a shell passes on by itself."""
    is_ours = channel == (os.environ.get("SEQPLAT_CHANNEL") or "dev")
    return text if is_ours else f"SEQPLAT_CHANNEL={_quoted(channel)} {text}"


def _quoted(word: str) -> str:
    """As one word of a shell. What a terminal would not show, or obey, is written in the escapes of ``$'...'``."""
    if word.isprintable():
        return shlex.quote(word)
    plain = word.replace("\\", r"\\").replace("'", r"\'")
    escaped = "".join(c if c.isprintable() else "".join(f"\\x{b:02x}" for b in _bytes(c)) for c in plain)
    return f"$'{escaped}'"


def _bytes(letter: str) -> bytes:
    return letter.encode("utf-8", "surrogatepass")
