"""Follows files while they are written, through rotation, as `tail -F` does. Knows nothing of Beam.

`Follower` gives blocks of whole lines and, at any moment, a snapshot of its offsets in all files. `StateStore` keeps
the snapshot up to which all lines were delivered. `targets` says which files are followed, `scanning` detects rotated,
truncated and removed files, and `tail` reads one open file.
"""

from dovebeam.transforms.sources.follow.follower import (
    Follower,
    FollowRequest,
    FollowSettings,
    Session,
    close_session,
    session_of,
)
from dovebeam.transforms.sources.follow.records import StateStore
from dovebeam.transforms.sources.follow.targets import FollowTarget, includes, make_target

__all__ = [
    "FollowRequest",
    "FollowSettings",
    "FollowTarget",
    "Follower",
    "Session",
    "StateStore",
    "close_session",
    "includes",
    "make_target",
    "session_of",
]
