"""What is told of an event: its situation, the steps of its way, and the verdict, in plain words.

Doors: ``situation.situation``, ``verdict.judge``, ``model.Explanation``.
Only ``explain`` enters, and whoever writes an explanation out.
"""
