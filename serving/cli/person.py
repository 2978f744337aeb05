"""Who runs a command, as channels and keys remember it."""

import getpass
import os


def person() -> str:
    """The name of the user, or the number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
