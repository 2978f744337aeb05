"""How many checks are not well, and how old what is known of them is."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from seqplat_resources.health.view import WORST_FIRST, Health
from serving.metrics.store import gauge


def check_metrics(health: Health, now: dt.datetime) -> Iterator[Metric]:
    """Of the view as it was made last."""
    counts = Counter(row.worst for row in health.rows)
    by_status: dict[tuple[str, ...], float] = {(status,): counts[status] for status in WORST_FIRST}
    yield gauge("checks", "Checks of assets, by the worst of their days.", by_status, ["status"])
    what = "Incidents that nobody has acknowledged or muted."
    yield gauge("incidents_open", what, {(): health.need_you}, [])
    yield gauge("assets_healthy", "Assets of which every check is well.", {(): health.healthy}, [])
    if health.as_of is not None:
        age = max(0.0, (now - health.as_of).total_seconds())
        yield gauge("checks_age_seconds", "Since the newest verdict was told.", {(): age}, [])
    seen = max(0.0, (now - health.at).total_seconds())
    yield gauge("checks_seen_age_seconds", "Since the results were looked at.", {(): seen}, [])
    yield gauge("checks_unreadable", "Errors in reading or keeping results.", {(): len(health.errors)}, [])
