"""What each station has of a user's events, read once, and what whoever asks may see of it.

Door: ``evidence.Evidence``; a module each station, from ``raw`` to ``online``.
Only ``explain`` and its account enter.
"""
