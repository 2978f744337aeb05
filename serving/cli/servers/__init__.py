"""What keeps running: ``serve``, ``stream``, ``send``, ``code-server``, ``dev``.

Door: one function a command; ``children`` ends what it started.
Only ``main`` and the demo enter.
"""
