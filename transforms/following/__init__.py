"""Following files that others write to: every line once, through renaming, copying, emptying and restarts; no Beam."""

from dovebeam.transforms.following.follower import Follower
from dovebeam.transforms.following.inputs import Inputs
from dovebeam.transforms.following.marks import FileMark, Fingerprint, Position, decode_position, encode_position
from dovebeam.transforms.following.state import FollowState

__all__ = ["FileMark", "Fingerprint", "FollowState", "Follower", "Inputs", "Position", "decode_position", "encode_position"]
