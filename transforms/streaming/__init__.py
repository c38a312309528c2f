"""Sources of streams: transforms from a pipeline to blocks that acknowledge what was delivered."""

from dovebeam.transforms.streaming.follow import FollowBlocks
from dovebeam.transforms.streaming.pieces import ENDLESS, Segment
from dovebeam.transforms.streaming.subscribe import SubscriptionBlocks

__all__ = ["ENDLESS", "FollowBlocks", "Segment", "SubscriptionBlocks"]
