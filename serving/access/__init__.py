"""Who may read what, and how much: callers, grants, quotas.

Doors: ``authentication.Authentication``, the layer before the application; ``keys``, ``audit`` and ``usage``, which the
command line reads without a framework for HTTP: hence nothing is imported here.
Admission, answers, routes and the command line may enter; it stands on api and follow.
"""
