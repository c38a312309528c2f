"""A built pipeline run to its end, or handed to an engine, and its failures told in a sentence."""
