"""The queues of a stream: on disk, one for each exporter, between what reads and what delivers; knows nothing of Beam.

`QueueWriter` puts the payloads of a bundle into the queues of their exporters, all together and durably. `Queue` is one
of them, from which they are taken in their order.
"""

from dovebeam.transforms.plan.queue import Queue, make_directory
from dovebeam.transforms.queues.segments import SegmentName
from dovebeam.transforms.queues.writer import QueueWriter

__all__ = ["Queue", "QueueWriter", "SegmentName", "make_directory"]
