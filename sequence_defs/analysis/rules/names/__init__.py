"""Rules about names: columns and definitions that are missing, taken twice, or another tenant's.

Example: ``collisions`` refuses a column that the platform names itself.
Only the runner enters; rules do not know each other.
"""
