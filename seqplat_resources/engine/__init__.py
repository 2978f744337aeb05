"""The one engine: raw rows to normalized, enriched, ordered events. Same code for batch and stream."""
