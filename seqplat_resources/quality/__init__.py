"""Measures of stored days, one a module; a measure judges and changes nothing.

Example: ``completeness`` counts events again from raw rows, apart from the build.
Explain, Dagster's checks and the command line may enter; it stands on batch and stream.
"""
