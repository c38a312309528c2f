"""Events and what is said of them: typed values, names, the catalogue of types, and rejects; knows nothing of Beam."""
