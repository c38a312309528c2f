"""The command `dovebeam collect`: takes events from Dovecot's `unix` and `http-post` drivers into a spool of files.

Nothing here imports Beam, so that the process is small and starts at once.
"""
