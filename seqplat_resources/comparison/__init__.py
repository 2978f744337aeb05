"""Two sides of the same events or sequences compared: what pairs with what, what differs, and why.

Doors: ``events.compare_events``, ``causes.rules.explain``, ``counts.counted``, ``examples.examples`` and
``sequences.compare_sequences``; what they take and give on is in ``contract``. Frames in, frames and small counts out:
no reading, no clock, and no notion of who the sides are; by convention one is *ours* and the other *legacy*.
Quality, shadow and benchmarks may enter; it stands on definitions.
"""
