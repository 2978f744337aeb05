"""Python environments of peers, made in the cache folder: what they need must not constrain what we install."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

# Pinned, so that a number stays that of these versions. Each environment is made once, which takes a minute or two.
QUIX = ("quixstreams==3.28.1", "lmdb==3.0.0", "pyarrow==26.0.1")
DATACOMPY = ("datacompy==1.1.0",)
FEAST = ("feast==0.67.0", "confluent-kafka==2.16.1", "orjson")


def python_with(requirements: Sequence[str], cache_dir: Path) -> Path:
    """The interpreter of an environment with these packages, named after the first of them.

    Raises:
        subprocess.CalledProcessError: the installation failed; its output is on the terminal.
    """
    home = cache_dir / f"venv-{requirements[0].replace('==', '-')}"
    python, finished = home / "bin" / "python", home / "finished"
    wanted = "\n".join(requirements)
    if not finished.exists() or finished.read_text() != wanted:
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        finished.write_text(wanted)  # last, so that an interrupted installation is started over
    return python
