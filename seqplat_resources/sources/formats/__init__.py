"""Bytes to frames of text, a module each format; a piece that is no row is broken alone.

Every format gives back ``contract.Parsed``. Formats know no types and no times.
Sources, messages of streams and explain may enter; it stands on values.
"""
