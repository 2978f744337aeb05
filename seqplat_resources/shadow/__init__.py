"""The way from an older pipeline to this one, an event type at a time: ours beside legacy's, compared and decided.

Doors: ``legacy`` reads what the older pipeline has; ``verdict`` decides what a comparison is worth; ``ladder`` moves
users, step by step.
Assets and serving may enter; it stands on batch, read and the comparison.
"""
