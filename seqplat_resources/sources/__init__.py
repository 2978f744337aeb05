"""Raw rows of files: found, read, typed, timed; what does not fit is a reject with its bytes.

Doors: ``files.find``, ``decode.decode_files``. Logs and framed messages have rooms below.
Batch, stream, quality and explain may enter; it stands on engine and lake.
"""
