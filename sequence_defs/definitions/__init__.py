"""The definitions themselves, one folder per team."""
