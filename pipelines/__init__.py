"""dovebeam's jobs and its command line: what turns options into a running pipeline.

Beam is imported by the modules that build or run a pipeline, never by those that only read a command line.
"""
