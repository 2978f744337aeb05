"""What is stored: ``tables``, ``rejects``, ``compact``, ``vacuum``, ``verify``, ``expire``, ``lag``, ``epochs``.

Door: one function a command.
Only ``main`` enters.
"""
