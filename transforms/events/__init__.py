"""Events, their typed values, the catalogue of names and types, and rejects; without Beam."""
