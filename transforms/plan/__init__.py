"""What a job does with a block: decode, match, format, deliver; and what became of it. Knows nothing of Beam."""
