"""Training sets as models read them: batches as NumPy, Arrow, Polars or PyTorch has them, in an order that resumes.

Doors: ``files.TrainingFiles`` (a folder that ``seqplat training-set`` made), ``batches.Batches`` (in which order it is
read, by which rank), ``torch`` (datasets; needs PyTorch).
A training machine may enter; like all of the client it stands on Polars and NumPy, and on nothing else of ours.
"""
