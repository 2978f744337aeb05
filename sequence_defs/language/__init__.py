"""The SQL that definitions and conditions are written in: its words, and what an expression may cost.

Door: ``bounds.require_bounded``. It parses nothing; the compiler does, once a text was let through here.
The compiler and whoever takes an expression from outside may enter; it imports nothing of ours.
"""
