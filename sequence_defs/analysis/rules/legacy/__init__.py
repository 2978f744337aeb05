"""Rules of what definitions are compared with: legacy events, legacy sequences, and how near is equal.

Example: ``tolerances`` refuses a similarity of columns that are no vectors.
Only the runner enters.
"""
