"""Commands that take an event type from an older pipeline to ours: verdicts on what differs, and steps of users.

Only the root command enters; it stands on the room ``shadow`` of the resources.
"""
