"""Following files while they are written: which ones, from where, through which rotations; knows nothing of Beam.

`Follower` gives blocks of whole lines and, at any moment, a snapshot of how far it has come. `StateStore` keeps the
snapshot whose lines were delivered.
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
