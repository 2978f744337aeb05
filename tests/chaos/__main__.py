"""``python -m tests.chaos``: the crash campaign in full. Writes its tables into docs/chaos.md."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.report import is_clean, table, write
from tests.chaos.world import Site
from tests.kafka_broker import Broker, BrokerError, private_broker

DOCUMENT = Path(__file__).parents[2] / "docs" / "chaos.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--broker", choices=["file", "kafka"], default="file", help="kafka: it is killed as well")
    parser.add_argument("--kills", type=int, default=220)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--rate", type=int, default=150, help="messages per second")
    parser.add_argument("--minutes", type=float, default=8.0, help="the storm ends then, whatever was killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    asked = parser.parse_args()
    with ExitStack() as until_end:
        folder = Path(until_end.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        broker: Broker | None = None
        environment: Mapping[str, str] = {}
        if asked.broker == "kafka":
            try:
                broker = until_end.enter_context(private_broker(folder / "kafka"))
            except BrokerError as error:
                print(error, file=sys.stderr)  # noqa: T201
                return 2
            environment = {"SEQPLAT_LOG": "confluent", "SEQPLAT_KAFKA_BOOTSTRAP": broker.bootstrap}
        site = Site(folder, asked.seed, asked.messages, asked.rate, environment)
        campaign = Campaign(site, asked.kills, asked.minutes * 60, pause_s=(0.2, 1.6), broker=broker)
        facts = {"log": asked.broker, "seed": asked.seed, **campaign.run()}
    print(table(facts))  # noqa: T201
    for line in [*facts["violations"], *facts["failures"]][:20]:
        print(line, file=sys.stderr)  # noqa: T201
    if asked.write:
        write(facts, DOCUMENT, asked.broker)
    return 0 if is_clean(facts) else 1


if __name__ == "__main__":
    sys.exit(main())
