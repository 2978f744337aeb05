"""``python -m tests.fuzz --messages 1000000``: rubbish by the million through the stream loop, in bounded memory."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.sieve import Sieve, memory_mb

ROUND = 20_000
DOCUMENT = Path(__file__).parents[2] / "docs" / "chaos.md"
BEGIN, END = "<!-- fuzz -->", "<!-- end fuzz -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    asked = parser.parse_args()
    draw, began, memory = random.Random(asked.seed), time.monotonic(), [0.0]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        sieve = Sieve(Path(folder))
        for start in range(0, asked.messages, ROUND):
            sieve.round(min(ROUND, asked.messages - start), draw)
            memory.append(memory_mb())
            print(f"{start + ROUND:,} after {time.monotonic() - began:.0f} s, {memory[-1]:.0f} MB", file=sys.stderr)  # noqa: T201
        sieve.shop.store.close()
    text = table(sieve, time.monotonic() - began, memory[1:])
    print(text)  # noqa: T201
    if asked.write:
        document = DOCUMENT.read_text()
        before, _, rest = document.partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    return 0


def table(sieve: Sieve, seconds: float, memory: list[float]) -> str:
    """Totals, then what became of each kind, as Markdown."""
    early, fates = memory[min(4, len(memory) - 1)], sieve.fates
    kept = sum(count for (_, fate), count in fates.items() if fate == "kept")
    refused = fates.total() - kept
    lines = [
        f"{fates.total():,} messages in {seconds:,.0f} s (making, appending and judging them included): {kept:,} raw",
        f"rows and {refused:,} rejects, each message once. Of {fates['good', 'kept']:,} good ones",
        f"{fates['good', 'refused']} were harmed. Most memory: {early:,.0f} MB after {min(5, len(memory))} of",
        f"{len(memory)} rounds, {memory[-1]:,.0f} MB after all.",
        "",
        "| kind | raw rows | rejects |",
        "|---|---|---|",
    ]
    kinds = sorted({kind for kind, _ in fates})
    return "\n".join(
        [*lines, *(f"| {kind} | {fates[kind, 'kept']:,} | {fates[kind, 'refused']:,} |" for kind in kinds)]
    )


if __name__ == "__main__":
    sys.exit(main())
