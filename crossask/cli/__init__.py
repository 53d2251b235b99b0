"""Command lines: one thin file a verb."""
