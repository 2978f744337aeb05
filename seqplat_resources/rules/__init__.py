"""Who an event is, which of its copies counts and since when, in which order events stand, which days a window has.

Example: ``precedence.winners`` says which revision wins. Frames in, frames out; no reading, no clock.
Engine, read, batch, quality and explain may enter; it stands on times alone.
"""
