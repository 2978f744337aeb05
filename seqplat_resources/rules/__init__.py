"""What an event is, which row of it counts, and in which order events stand. Pure: every runtime reads it from here."""
