"""Many days built as runs of a plan: newest first, what is good left out, resumed after a kill, one piece at a time.

Doors: ``wanted.Backfill`` (what is to be built, and in which pieces) and ``run.run`` (builds it, says how far it is).
The command line may enter; it stands on everything of this package.
"""
