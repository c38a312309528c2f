"""Complete files, as steps of a Beam pipeline and as a driver of streams; `transforms.shards` decides what they do."""

from dovebeam.transforms.sharding.spool_driver import SpoolDriver
from dovebeam.transforms.write_to_shards import WriteToShards

__all__ = ["SpoolDriver", "WriteToShards"]
