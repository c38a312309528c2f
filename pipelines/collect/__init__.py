"""The command `dovebeam collect`: Dovecot's `unix` and `http-post` drivers on one side, a spool of files on the other.

No Beam in here, so that the process is small and starts at once.
"""
