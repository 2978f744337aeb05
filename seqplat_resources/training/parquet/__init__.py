"""Parquet files of lists that overlap: rows are stored once per row group, as the dictionary that lists point into.

Doors: ``file.ListFile`` (a file, row group by row group), ``columns.stored`` (a series as it is stored).
Entered by training alone; knows Polars, numpy and zstandard, nothing of ours but errors.
"""
