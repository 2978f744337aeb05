"""Definitions that ship: a folder each team.

``seqplat check`` and ``publish`` look here unless SEQPLAT_DEFINITIONS says otherwise.
Only discovery enters; definitions import the models and each other.
"""
