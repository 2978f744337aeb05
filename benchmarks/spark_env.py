"""Find a Python that can import PySpark, or make one in the cache folder. Nothing else here needs PySpark."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.environments import python_with

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
    return python_with([PYSPARK], cache_dir)
