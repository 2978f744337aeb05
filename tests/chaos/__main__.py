"""``python -m tests.chaos``: the campaign in full. Writes its tables into docs/chaos.md."""

import argparse
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.report import is_clean, table, write
from tests.chaos.ways import Ways, room
from tests.chaos.world import Site
from tests.kafka_broker import BrokerError, private_broker
from tests.redis_server import running

DOCUMENT = Path(__file__).parents[2] / "docs" / "chaos.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--broker", choices=["file", "kafka"], default="file", help="kafka: it is killed as well")
    parser.add_argument("--store", choices=["lmdb", "redis"], default="lmdb", help="redis: it is disturbed as well")
    parser.add_argument("--disturbances", type=int, default=500)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--rate", type=int, default=150, help="messages per second")
    parser.add_argument("--minutes", type=float, default=15.0, help="the storm ends then, whatever was done")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--roomy", action="store_true", help="the disk is never full")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    asked = parser.parse_args()
    with ExitStack() as until_end:
        folder = Path(until_end.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        disk = None if asked.roomy else until_end.enter_context(room(folder / "home"))
        broker, server, environment = None, None, dict[str, str]()
        try:
            if asked.broker == "kafka":
                broker = until_end.enter_context(private_broker(folder / "kafka"))
                environment |= {"SEQPLAT_LOG": "confluent", "SEQPLAT_KAFKA_BOOTSTRAP": broker.bootstrap}
            if asked.store == "redis":
                server = until_end.enter_context(running("redis"))
                environment["SEQPLAT_ONLINE"] = server.url
        except (BrokerError, RuntimeError) as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 2
        site = Site(folder, asked.seed, asked.messages, asked.rate, environment)
        ways = Ways(random.Random(asked.seed), site, broker, server, disk)
        campaign = Campaign(ways, asked.disturbances, asked.minutes * 60, pause_s=(0.2, 1.6))
        facts = {"log": asked.broker, "store": asked.store, "seed": asked.seed, **campaign.run()}
    print(table(facts))  # noqa: T201
    for line in [*facts["violations"], *facts["failures"]][:20]:
        print(line, file=sys.stderr)  # noqa: T201
    if asked.write:
        write(facts, DOCUMENT, f"{asked.broker}-{asked.store}")
    return 0 if is_clean(facts) else 1


if __name__ == "__main__":
    sys.exit(main())
