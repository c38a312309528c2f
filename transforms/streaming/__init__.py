"""Sources of streams: transforms from a pipeline to blocks that acknowledge what was delivered."""

from dovebeam.transforms.streaming.follow import FollowBlocks
from dovebeam.transforms.streaming.pieces import ENDLESS, Segment

__all__ = ["ENDLESS", "FollowBlocks", "Segment"]
