"""Sources of streams: transforms from a pipeline to blocks that acknowledge what was delivered."""

from dovebeam.transforms.streaming.follow import ReadFromFollowedFiles
from dovebeam.transforms.streaming.pieces import ENDLESS, Segment
from dovebeam.transforms.streaming.subscribe import PullFromPubSub

__all__ = ["ENDLESS", "PullFromPubSub", "ReadFromFollowedFiles", "Segment"]
