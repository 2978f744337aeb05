"""What a reader sees: ``get`` and ``explain``.

Door: one function a command.
Only ``main`` and the demo enter.
"""
