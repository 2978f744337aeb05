"""Whatever keeps something for later keeps no more of memory than it says, also where callers choose what it is.

Measured as resident bytes of a process of its own: what is counted may differ from what is there.
"""

import gc
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqplat_resources.release.query import Query
from tests.forking import FORKING

KEPT = {
    # A few rows of what was decoded for them, whose texts share the buffers of all.
    "answers": """
        from seqplat_resources.read.cache import AnswerCache
        from seqplat_resources.read.merge import NewestEvents as Newest
        cache = AnswerCache(16 << 20)
        def fill(number):
            rows = decoded(2000, number)
            cache.put(("version", f"user-{number}", Query()), Newest(rows[:5], [5], [0], {}, {}, {}, {}, (), 2000))
    """,
    "halves_of_answers": """
        from seqplat_resources.read.cache import AnswerCache
        from seqplat_resources.read.merge import NewestEvents as Newest
        cache = AnswerCache(16 << 20)
        def fill(number):
            rows = decoded(400, number)
            cache.put(("version", f"user-{number}", Query()), Newest(rows[:201], [201], [0], {}, {}, {}, {}, (), 400))
    """,
    "long_questions": """
        from serving.answers.cache import BodyCache
        from seqplat_resources.release.query import TopK
        kept = BodyCache(16 << 20)
        def fill(number):
            vector = tuple(float(number) + i for i in range(4096))
            query = Query(where="x" * 4000, top_k=TopK("v", vector, 5))
            kept.put(("version", f"user-{number}", query, "json"), b"short")
    """,
    "access_log": """
        from serving.access.audit.log import AccessLog, Line
        log = AccessLog(lambda: None, str)
        def fill(number):
            log.note(Line(0.0, "id", "POST", user_ids=[f"{number}-{i}-" + "u" * 500 for i in range(200)]))
    """,
    "headers": """
        from serving.answers.negotiation import coding_of, form_of
        def fill(number):
            form_of(f"application/json, x/{number}" + ", y/z" * 20000)
            coding_of(f"gzip, x{number}" + ", yz" * 20000)
    """,
    "query_strings": """
        from serving.api.parameters import of_query_string
        def fill(number):
            of_query_string(b"limit=5&columns=%d" % number + b",cc" * 200)
            of_query_string(b"limit=5&columns=%d" % number + b",c" * 250 + b"&where=" + b"x" * 4000)
    """,
    "conditions": """
        from seqplat_resources.read.merge.where import compiled
        def fill(number):
            if number < 100:
                compiled(f"a IN ({number}, " + ", ".join(str(i) for i in range(700)) + ")", (("a", pl.Int64()),))
    """,
}
# Of the largest bound of those, with what allocators keep beside it.
MOST_MIB = 48


def decoded(rows: int, number: int) -> pl.DataFrame:
    texts = pl.Series("s", np.arange(rows) + 1_000_000 * number).cast(pl.String)
    return pl.DataFrame([texts + " and more text than fits into a view of twelve bytes"])


def resident_mib() -> float:
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


def measure(code: str, told: Connection) -> None:
    """Tell by how much a process grew that was filled hundreds of times, of its first fillings."""
    names: dict[str, Any] = {"decoded": decoded, "pl": pl, "Query": Query}
    exec(code, names)
    fill: Callable[[int], None] = names["fill"]
    for number in range(20):
        fill(number)
    before = resident_mib()
    for number in range(20, 500):
        fill(number)
    told.send(resident_mib() - before)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("what", KEPT)
def test_what_is_kept_stays_within_its_bound(what: str) -> None:
    here, there = FORKING.Pipe(duplex=False)
    process = FORKING.Process(target=measure, args=("\n".join(line[8:] for line in KEPT[what].splitlines()), there))
    process.start()
    there.close()  # so that reading ends with the process
    assert here.recv() < MOST_MIB
    process.join()
