"""What the API measures of itself: counted while requests are answered, read and added up when somebody looks."""

from serving.metrics.cells import Cells
from serving.metrics.kept_answers import KeptAnswerCounts
from serving.metrics.release_state import ReleaseCounts
from serving.metrics.requests import LoadCounts, RequestCounts
from serving.metrics.scrape import Scrapes

__all__ = ["Cells", "KeptAnswerCounts", "LoadCounts", "ReleaseCounts", "RequestCounts", "Scrapes"]
