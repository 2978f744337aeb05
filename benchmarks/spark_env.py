"""Find a Python that can import PySpark, or make one in the cache folder. Nothing else here needs PySpark."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

PYSPARK = "pyspark==4.3.0"  # 0.5 GB installed; needs a Java runtime, 17 or newer


class NoJavaError(RuntimeError):
    """The Spark peer was asked for on a machine without a Java runtime."""

    def __init__(self) -> None:
        super().__init__(
            "the Spark peer needs a Java runtime (17 or newer), but JAVA_HOME is unset and `java` is not on the PATH. "
            "Install one (Debian: default-jre-headless), or leave Spark out with `--peers duckdb`."
        )


def spark_python(cache_dir: Path) -> Path:
    """Return the interpreter to run the Spark peer with; the first call may take minutes to install `PYSPARK`.

    Raises:
        NoJavaError: there is no Java runtime.
        subprocess.CalledProcessError: the installation failed; its output is on the terminal.
    """
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        raise NoJavaError
    if find_spec("pyspark") is not None:
        return Path(sys.executable)
    home = cache_dir / f"venv-{PYSPARK.replace('==', '-')}"
    python, finished = home / "bin" / "python", home / "finished"
    if not finished.exists():
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PYSPARK], check=True)
        finished.touch()  # last, so that an interrupted installation is started over
    return python
