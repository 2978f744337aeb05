"""Compares days of an event type with legacy's, and keeps what was counted, so that days can be judged together.

Doors: ``build.compare`` counts days, ``window.judged`` makes a verdict of those that are kept, ``replay.measure_floor``
says how far legacy is from itself.
Assets and the command line may enter; it stands on legacy, verdict and the comparison.
"""
