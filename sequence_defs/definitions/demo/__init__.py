"""Grocery loyalty-card demo: six weeks of 300 households."""
