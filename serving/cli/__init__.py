"""The ``seqplat`` command: a room a subject, imported when its command runs.

Door: ``main.main``. On this level stand the demo and what commands share, such as output and durations.
Nobody enters but people.
"""
