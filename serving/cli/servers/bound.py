"""Run a command that the system kills when the process that started it is gone, however that ended (on Linux).

    python bound.py PID COMMAND ...    PID is who starts it

What the command starts in turn is not killed with it. A program by itself, so that it costs no import.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _bind(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            sys.exit(1)


if __name__ == "__main__":
    _bind(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
