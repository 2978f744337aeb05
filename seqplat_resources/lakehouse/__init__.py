"""The lake: Delta tables of day buckets, replaced whole under a fenced writer lease."""
