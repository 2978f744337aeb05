"""``python -m examples.migration [FOLDER]``, or ``make demo-migration``: one event type from legacy to retired."""

import sys
import time
from pathlib import Path

from examples.migration.shell import ClaimFalse, Shell
from examples.migration.walk import walk

FOLDER = Path(".seqplat-migration")


def main() -> int:
    """1 where something that the demo says is not so."""
    started, folder = time.perf_counter(), Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    shell = Shell()
    try:
        walk(shell, folder)
    except ClaimFalse as error:
        sys.stderr.write(f"\nThe demo stops: {error}\n")
        return 1
    shell.say(
        f"Done in {time.perf_counter() - started:.0f} s. `SEQPLAT_HOME={folder}/home seqplat dev` shows the runs, the "
        "checks of each day and the verdicts in Dagster; docs/migration.md tells the story again, with its pictures."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
