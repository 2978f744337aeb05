"""What the API measures of itself: counted while requests are answered, added up when somebody looks.

Doors: ``RequestCounts``, ``Scrapes``; a cell a series, in files that all processes read.
Admission, routes and http may enter; it stands on api and follow.
"""

from serving.metrics.behind import BehindCounts
from serving.metrics.cache import CacheCounts
from serving.metrics.cells import Cells
from serving.metrics.release import ReleaseCounts
from serving.metrics.requests import LoadCounts, RequestCounts
from serving.metrics.scrape import Scrapes

__all__ = ["BehindCounts", "CacheCounts", "Cells", "LoadCounts", "ReleaseCounts", "RequestCounts", "Scrapes"]
