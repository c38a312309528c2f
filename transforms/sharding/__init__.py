"""Files that are complete when a job ends, as steps of a Beam pipeline; `transforms.shards` decides what they do."""

from dovebeam.transforms.sharding.transform import WriteShards

__all__ = ["WriteShards"]
