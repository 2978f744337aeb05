"""The assets of a release by layer, the one body that builds them, their checks and their days.

Doors: ``assets.built``, ``build.build``, ``checks.checks_for``.
Streams, repair and the factory may enter; it stands on describe and runs.
"""
