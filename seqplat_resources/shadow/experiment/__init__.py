"""What users did in either arm: differences with intervals that hold at every look, and whether arms are as declared.

Doors: ``readout.read_out`` reads and decides, ``build.read_out_days`` keeps, ``account`` prints.
Assets, the API and the command line may enter; it stands on exposures, on events of the lake and on the ladder.
``arms``, ``intervals``, ``sample_ratio`` and ``decide`` read nothing: numbers in, numbers out.
"""
