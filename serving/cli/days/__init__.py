"""Days built, and built again: ``materialize``, ``ingest``, ``dirty``, ``reseal``.

Door: one function a command. The one room that reaches Dagster's assets to build.
Only ``main`` and the demo enter.
"""
