"""Streams as runs: a job that lives for a while, and the sensor that has the next one follow.

Doors: ``jobs.stream_jobs``, ``jobs.stream_sensors``.
The factory and ``seqplat dev`` may enter; it stands on layers.
"""
