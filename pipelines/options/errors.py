"""The error of every command line; apart from what reads them, since Beam's options raise it as well."""

__all__ = ["UsageError"]


class UsageError(Exception):
    """An invalid command line; the text says what to write instead."""
