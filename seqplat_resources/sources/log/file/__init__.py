"""An embedded log in a folder: frames in segments, one writer and many readers a partition.

Door: ``folder``.
Only ``log.opening`` enters.
"""
