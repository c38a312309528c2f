"""dovebeam's commands and jobs: from the command line to a running pipeline and its exit code.

Beam is imported by the modules that build or run a pipeline, never by those that only read a command line.
"""
