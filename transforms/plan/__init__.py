"""The work on a block, without Beam: decode, match, format, queue, deliver, and account for every event."""
