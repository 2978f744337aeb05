"""Files that people asked for: there whole, or not at all.

>>> with written_whole(folder / "names.csv") as draft, open(draft, "w") as file:
...     (file.write("ann"), (folder / "names.csv").exists())
...
(3, False)
>>> (folder / "names.csv").read_text()
'ann'
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_whole(path: str | Path) -> Iterator[str]:
    """Where to write what is ``path`` once the block is left; nothing of it is, where the block raises."""
    draft = f"{path}.{os.getpid()}.draft"
    try:
        yield draft
        os.replace(draft, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)
