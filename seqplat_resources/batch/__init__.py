"""Days of the lake, built from raw rows and published online; no module stands on this level.

Rooms, each on the ones behind it: publish, builds, upkeep, days, inputs.
Quality, stream, explain, Dagster's assets and the command line may enter; it stands on engine, sources and lake.
"""
