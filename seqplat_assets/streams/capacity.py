"""Room for other runs beside streams: how many runs an instance allows, and how many of them streams may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from seqplat_assets.runs.liveness import WORK

# Runs that always find a place: today's build, a re-seal, two of a backfill; half of all where there are few.
OTHERS = 4


@dataclass(frozen=True)
class RunCapacity:
    """``runs`` at a time in all, None without a limit, and ``streams`` among them by a limit on their tag."""

    runs: int | None
    streams: int | None

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> "RunCapacity":
        """What the settings of an instance (``dagster.yaml``) say. Without a queue nothing is limited."""
        queue = instance.get_concurrency_config().run_queue_config
        if queue is None:
            return cls(None, None)
        most = queue.max_concurrent_runs
        return cls(most if most >= 0 else None, _limit(queue.tag_concurrency_limits))

    @property
    def for_streams(self) -> int | None:
        """How many runs streams may take together, so that ``OTHERS`` find a place; one at least."""
        left = None if self.runs is None else max(1, self.runs - min(OTHERS, self.runs // 2))
        return min((each for each in (left, self.streams) if each is not None), default=None)

    def shortage(self, jobs: int) -> str:
        """What is wrong with the settings for so many stream jobs, each two runs while one hands over to the next."""
        room = self.for_streams
        if room is None or room >= 2 * jobs:
            return ""
        enough = 2 * jobs + OTHERS
        return (
            f"{jobs} stream job(s) take up to {2 * jobs} runs, and the instance has room for {room} beside others: in "
            f"dagster.yaml set concurrency.runs.max_concurrent_runs to {enough} at least, any limit of {WORK}=stream "
            f"to {2 * jobs}, or have sources share fewer runs with SEQPLAT_STREAM_RUNS"
        )


def _limit(limits: Sequence[Mapping[str, object]] | None) -> int | None:
    found = [each["limit"] for each in limits or () if each.get("key") == WORK and each.get("value") == "stream"]
    return min((each for each in found if isinstance(each, int)), default=None)
