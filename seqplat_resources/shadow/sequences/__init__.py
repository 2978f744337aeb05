"""Compares users' sequences with legacy's at the end of a day, keeps what was counted, and judges days together.

Doors: ``build.compare_days`` counts days, ``window.judged_sequence`` makes a verdict, ``rehearsal`` puts defects in.
Assets and the command line may enter; it stands on ladder (for the hash), days, legacy and verdict.
"""
