"""Follow a channel: the release and the store that requests are answered from, kept good while both move.

Door: ``release.Follower``.
Every room above may enter; it stands on the settings.
"""
