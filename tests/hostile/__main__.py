"""``python -m tests.hostile --minutes 60``: hostile worlds for as long as asked, and what they found."""

import argparse
import logging
import os
import sys

from tests.hostile.campaign import run
from tests.hostile.properties import PROPERTIES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first world; each of the others has the next one")
    parser.add_argument("--only", choices=list(PROPERTIES), action="append", help="may be repeated; default: all")
    parser.add_argument("--worlds", type=int, help="so many of each property, and no more")
    asked = parser.parse_args()
    os.environ.setdefault("RUST_BACKTRACE", "0")
    logging.disable(logging.CRITICAL)  # what the platform says of hostile input is not the question here
    campaign = run(asked.only or list(PROPERTIES), seed=asked.seed, minutes=asked.minutes, worlds=asked.worlds)
    print(campaign.report())  # noqa: T201
    kinds, failed = len(campaign.failed), campaign.failed.total()
    print(f"{campaign.worlds.total()} worlds, {failed} failed in {kinds} way(s)" if kinds else "clean")  # noqa: T201
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
