"""What a field of an event can hold: timestamps, addresses, integers, and how their texts are read and written."""

from dovebeam.transforms.values.addresses import IPAddress
from dovebeam.transforms.values.timestamps import Timestamp

__all__ = ["INT64_MAX", "INT64_MIN", "IPAddress", "Timestamp"]

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
