"""One process of a server: its application, its threads, its numbers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from litestar import Litestar
from litestar.concurrency import set_asyncio_executor

from serving.app import create_app
from serving.metrics import Cells
from serving.settings import Settings


def application(settings: Settings, counts: Path) -> Litestar:
    """Called once in each process, before its event loop runs. ``counts`` is a folder the processes share."""
    # As many threads as requests may be under way: the event loop's own pool, which is smaller, would be a second
    # queue that nobody bounds, and a look at the channel or the metrics would wait in it.
    set_asyncio_executor(ThreadPoolExecutor(settings.under_way, thread_name_prefix="request"))
    return create_app(settings, cells=Cells(counts))
