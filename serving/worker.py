"""One process of a server: its application, its threads, its numbers."""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from litestar import Litestar
from litestar.concurrency import set_asyncio_executor

from serving.app import create_app
from serving.metrics import Cells
from serving.settings import Settings

# Objects made and not yet gone until the youngest are looked at; how often those looks reach the older ones.
GC_THRESHOLDS = (200_000, 20, 100)


def application(settings: Settings, counts: Path) -> Litestar:
    """Called once in each process, before its event loop runs. ``counts`` is a folder the processes share."""
    # As many threads as requests may be under way: the event loop's own pool, which is smaller, would be a second
    # queue that nobody bounds, and a look at the channel or the metrics would wait in it.
    set_asyncio_executor(ThreadPoolExecutor(settings.under_way, thread_name_prefix="request"))
    app = create_app(settings, cells=Cells(counts))
    # Collecting looks at every object there is, and most are the program's own: a batch of 100 users waited 30 ms for
    # it, one in a hundred times. Those are taken out, and what is made by requests ends with them, in no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return app
