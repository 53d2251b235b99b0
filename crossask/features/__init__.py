"""Features of clips: computed once, stored, and read as batches."""
