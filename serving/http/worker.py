"""One process of a server: its application, its threads, its numbers."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from litestar import Litestar
from litestar.concurrency import set_asyncio_executor

from serving.http.app import create_app
from serving.metrics import Cells
from serving.settings import Settings

# Objects made and not yet gone until the youngest are looked at; how often those looks reach the older ones.
GC_THRESHOLDS = (200_000, 20, 100)
# After so long a thread that computes lets others go on, if any want to; by default 5 ms. Beside batches that took the
# p99 of short requests from 15-21 ms to 13, where it was 6 without any; still smaller ones changed nothing more.
SWITCH_S = 0.0005


def application(settings: Settings, counts: Path) -> Litestar:
    """Called once in each process, before its event loop runs. ``counts`` is a folder the processes share."""
    # As many threads as requests may be under way: the event loop's own pool, which is smaller, would be a second
    # queue that nobody bounds, and a look at the channel or the metrics would wait in it.
    # And those of batches that have begun and wait for their next turn, at most one of each tenant; made as needed.
    threads = settings.under_way + settings.long_at_once + settings.queue
    set_asyncio_executor(ThreadPoolExecutor(threads, thread_name_prefix="request"))
    # Where a batch is made in a thread, the event loop waits for the interpreter so long, several times in one request.
    sys.setswitchinterval(SWITCH_S)
    app = create_app(settings, cells=Cells(counts))
    # Collecting looks at every object there is, and most are the program's own: a batch of 100 users waited 30 ms for
    # it, one in a hundred times. Those are taken out, and what is made by requests ends with them, in no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return app
