"""What a reader sees: ``get``, ``explain`` and ``sql``.

Door: one function a command.
Only ``main`` and the demo enter.
"""
