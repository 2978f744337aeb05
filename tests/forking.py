"""Processes that start in milliseconds: copies of one that has imported what they use, and does nothing else.

A process that is started anew takes seconds of processor time for its imports. Those of tests of commands are.
"""

import multiprocessing

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        "tests.chaos.actors",
        "tests.chaos.verdict",
        "seqplat_resources.read.cache",
        "serving.answers.cache",
        "serving.access.audit.log",
        "serving.api.parameters",
    ]
)
