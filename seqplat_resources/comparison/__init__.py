"""Two sides of the same events or sequences compared: what pairs with what, what differs, and why.

Door: ``contract``, what goes in and is given on. Frames in, frames and small counts out; no reading, no clock, and no
notion of who the sides are: by convention one is *ours* and the other *legacy*.
Quality, shadow and benchmarks may enter; it stands on definitions.
"""
