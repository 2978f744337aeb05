"""Load and probes of the freshness benchmark: sends events, and asks the API until it has them.

In a process of its own. One thread sends. Ten times a second a probe takes the newest event that passes the filter and
asks for its user until the answer has it; the time from sending to that answer is one sample, one line of the output.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks import api_key, kafka, messages

PROBE_EVERY_S = 0.1
MOST_PROBES = 64  # under way at once; all of them, if answers take six seconds
TICK_S = 0.01  # between two portions of events
ASK_EVERY_S = 0.02  # what a probe may overstate
GIVE_UP_S = 60.0  # a probe that is not answered within this counts as this long, and is told apart
PATH = "/v1/sequences/recent_actions/users/{}"


# When it was sent, in seconds since 1970; milliseconds until the answer had it; whether one ever had.
Sample = tuple[float, float, bool]


@dataclass
class Newest:
    """The event that was sent last, of those that pass the filter."""

    user_id: int = -1
    event_id: str = ""
    sent_at: float = 0.0


@dataclass
class Load:
    """What the threads share. Replacing ``newest`` is one assignment, so nobody sees half of it."""

    bootstrap: str
    topic: str
    rate: int
    api: str
    ends_at: float
    newest: Newest = field(default_factory=Newest)
    sent: int = 0
    late_s: float = 0.0

    def send(self) -> None:
        producer, events = kafka.producer(self.bootstrap), _endless()
        per_tick, began = max(1, round(self.rate * TICK_S)), time.monotonic()
        while time.time() < self.ends_at:
            for _ in range(per_tick):
                row = next(events)
                now = time.time()
                row["ts"] = dt.datetime.fromtimestamp(now, dt.UTC).isoformat()
                producer.produce(self.topic, json.dumps(row).encode(), str(row["user_id"]))
                if row["kind"] < messages.KEPT_KINDS:
                    self.newest = Newest(row["user_id"], row["event_id"], now)
            producer.poll(0)
            self.sent += per_tick
            ahead_s = self.sent / self.rate - (time.monotonic() - began)
            self.late_s = max(self.late_s, -ahead_s)
            if ahead_s > 0:
                time.sleep(ahead_s)
        producer.flush()

    def probe(self, samples: list[Sample]) -> None:
        """Begin probes at a steady rate, whether or not earlier ones are done, so that slow times are not left out."""
        began = time.monotonic()
        with (
            httpx.Client(base_url=self.api, timeout=GIVE_UP_S, trust_env=False, headers=api_key.headers()) as client,
            ThreadPoolExecutor(MOST_PROBES) as pool,
        ):
            while time.time() < self.ends_at:
                if self.newest.event_id:
                    pool.submit(self._sample, client, self.newest, samples)
                elapsed = time.monotonic() - began
                time.sleep(PROBE_EVERY_S - elapsed % PROBE_EVERY_S)

    def _sample(self, client: httpx.Client, asked: Newest, samples: list[Sample]) -> None:
        found = False
        try:
            found = self._wait_for(client, asked)
        finally:
            samples.append((asked.sent_at, (time.time() - asked.sent_at) * 1000, found))

    def _wait_for(self, client: httpx.Client, asked: Newest) -> bool:
        wanted = {"columns": "event_id"}
        while time.time() - asked.sent_at < GIVE_UP_S:
            answer = client.get(PATH.format(asked.user_id), params=wanted).raise_for_status().json()
            if asked.event_id in answer["columns"]["event_id"]:
                return True
            # A probe that has waited long asks less often, or a slow API would be asked to death.
            time.sleep(max(ASK_EVERY_S, (time.time() - asked.sent_at) * ASK_EVERY_S))
        return False


def _endless() -> Iterator[dict[str, Any]]:
    number = 0
    while True:
        yield from messages.chunk(number).iter_rows(named=True)
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--api", required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    load = Load(options.bootstrap, options.topic, options.rate, options.api, time.time() + options.seconds)
    samples: list[Sample] = []
    sender = threading.Thread(target=load.send)
    sender.start()
    load.probe(samples)
    sender.join()
    with options.out.open("w") as file:
        csv.writer(file).writerows([("sent_at", "ms", "found"), *sorted(samples)])
    print(json.dumps({"sent": load.sent, "late_s": round(load.late_s, 3)}))


if __name__ == "__main__":
    main()
