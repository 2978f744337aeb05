"""Commands that take an event type from an older pipeline to ours: verdicts on what differs, and steps of users.

Doors: ``shadow`` and ``cutover``, each a group of commands.
Only the root command enters; it stands on the room ``shadow`` of the resources.
"""
