"""Jobs without an end: what they read, how they run here or are handed to an engine, and the files they make."""
