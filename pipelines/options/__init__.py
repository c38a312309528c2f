"""Command-line options that the jobs share: ours, other spellings of them, and Beam's.

All but `beam` are light, since `--help` must answer at once.
"""
