"""Texts of others where people read them: in one line, and in letters that a terminal or a browser only shows.

>>> plain("two\\nlines, and \\u202ebackwards")
'two\\\\nlines, and \\\\u202ebackwards'
"""

import re

# Control characters, what changes the direction of writing, ends of lines, and halves of characters.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def plain(value: str) -> str:
    """A text of which whatever would steer the screen is written as an escape."""
    return _STEERING.sub(_escape, value)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def lasting(seconds: float) -> str:
    """A time as people say it: ``40 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
