"""Following files while they are written: which ones, from where, through which rotations; knows nothing of Beam.

`Follower` gives blocks of whole lines and, at any moment, a snapshot of how far it has come. `StateStore` keeps the
snapshot whose lines were delivered.
"""

from dovebeam.transforms.following.follower import Follower, FollowSettings
from dovebeam.transforms.following.session import FollowRequest, Session, close_session, session_of
from dovebeam.transforms.following.store import StateStore
from dovebeam.transforms.following.targets import Target, make_target

__all__ = [
    "FollowRequest",
    "FollowSettings",
    "Follower",
    "Session",
    "StateStore",
    "Target",
    "close_session",
    "make_target",
    "session_of",
]
