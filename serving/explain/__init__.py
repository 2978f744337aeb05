"""Explanations over HTTP: their form, and how long they may take.

Doors: ``answer.explanation_answer``, ``deadline.Explainer``.
Routes, http and the command line may enter; it stands on api.
"""
