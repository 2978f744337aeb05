"""HOW: raw rows to events, lake, online store and sequences.

On this level stands what every room needs: time, errors, the home, and nothing that reads data.
``seqplat_assets`` and ``serving`` may enter; rooms import in the order that the import contracts say.
"""
