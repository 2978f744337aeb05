"""Commands that make training sets: what they ask for, and how the work and what came of it is shown.

Doors: ``sets.training_set``, ``pins.pin``.
Entered by the root command alone; stands on the room of training below.
"""
