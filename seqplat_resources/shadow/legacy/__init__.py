"""What an older pipeline has, as a side of a comparison: in our columns and types, in UTC.

Doors: ``events.LegacyEvents``, ``blobs.BlobSequences``, ``http.AskedSequences``. Nothing is dropped in silence: what
cannot be read or does not fit is a row of problems, and a day that is not there is an error that says why.
"""
