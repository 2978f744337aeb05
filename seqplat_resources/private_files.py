"""Files that hold secrets or what people did: of this user alone, whatever the umask and whoever made them before."""

import os
from contextlib import suppress
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def open_private(path: str | Path, flags: int) -> int:
    """``os.open`` of a file that only its owner may read and write; one that others could read is closed to them."""
    file = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
    if os.fstat(file).st_mode & 0o777 != FILE_MODE:
        with suppress(PermissionError):  # another user's, who is to decide
            os.fchmod(file, FILE_MODE)
    return file


def make_private(path: str | Path) -> None:
    """Close a file that is there to others; one that is not there, or another user's, stays as it is."""
    with suppress(FileNotFoundError, PermissionError):
        if os.stat(path).st_mode & 0o777 != FILE_MODE:
            os.chmod(path, FILE_MODE)


def private_folder(path: str | Path) -> None:
    """Make a folder, and those above it; close it to others, and what is in it with it.

    What is made in it is private from its first moment on, however it is made.
    """
    Path(path).mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    with suppress(PermissionError):
        if os.stat(path).st_mode & 0o777 != FOLDER_MODE:
            os.chmod(path, FOLDER_MODE)
