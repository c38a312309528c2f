"""The command lines of the jobs, what they share and what each has beyond it.

Light, since `--help` must answer at once.
"""
