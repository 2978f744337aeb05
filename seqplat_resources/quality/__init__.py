"""Measures of what is stored: plain functions of a runtime, a name and days that give one frame row per day."""
