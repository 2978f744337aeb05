"""Which row of one side is which of the other: by equal keys, or by the nearest time, one to one.

Door: ``pairs.paired``. Every row is in a pair or alone, and what cannot be told apart is named.
The comparison may enter; it stands on ``contract``.
"""
