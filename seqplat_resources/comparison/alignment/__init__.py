"""How much two lists of ids have in common, many pairs of lists at once.

Door: ``lists.aligned``. Example: an edit distance of 2 is one event that is in another place.
``sequences`` may enter; it stands on ``pairing``.
"""
