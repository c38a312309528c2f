"""`WriteToArchive`: writes events into Avro files by the hour, of which a replay can read any time range.

blocks --> Encode --+--> Write: files by hour, exactly once, with a manifest
                    +--> rejects
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from dovebeam.transforms import counters, progress
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES, AvroCodec, encode_avro
from dovebeam.transforms.error_handling import REJECTED, RejectingTransform
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.events.reject import Reject, decode_reject
from dovebeam.transforms.plan.decoding import PayloadBatch, decode_block
from dovebeam.transforms.shard_steps import ShardSettings
from dovebeam.transforms.shards.archive import AvroFraming, HourPartition
from dovebeam.transforms.shards.committing import Manifest
from dovebeam.transforms.shards.layout import Layout, check_run_id
from dovebeam.transforms.sources import Block
from dovebeam.transforms.write_to_shards import WriteShardFiles

__all__ = ["ARCHIVE", "WriteToArchive"]

ARCHIVE = "archive"
"""Name of the archive in counters and manifests, in place of an exporter's."""

_FILE_BYTES = 256 * 1024 * 1024
# Events have names of users and addresses, so an archive is for its owner.
_MODE = 0o600
_DIRECTORY_MODE = 0o700
_ALWAYS = TimeRange()


class WriteToArchive(RejectingTransform):
    """Writes all events into an archive, with the types of their fields.

    Args:
        output: an existing directory, or the URL of a folder in an object store.
        run_id: name of the run; running the same job again under the same name replaces its own files.
        time_range: only events in this range; others are counted as out of range.
        codec: how blocks are compressed: "deflate", "zstandard" or "null".
        max_line_bytes: longer lines are rejected.

    Rejects: lines and records that are not events.

    Guarantee: each event of the input is in exactly one file of a successful run, in the partition of its hour.
    """

    def __init__(
        self,
        output: str,
        *,
        run_id: str,
        time_range: TimeRange = _ALWAYS,
        codec: AvroCodec = "deflate",
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    ) -> None:
        super().__init__()
        layout = Layout(ARCHIVE, check_run_id(run_id))
        framing = AvroFraming(codec)
        self._settings = ShardSettings(output, "", layout, framing, _FILE_BYTES, _MODE, _DIRECTORY_MODE)
        self._encode = _EncodeFn(time_range, max_line_bytes)

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[Manifest]:
        """Blocks to one manifest."""
        encoded = blocks | "Encode" >> beam.ParDo(self._encode).with_outputs(REJECTED, main="payloads")
        self.route_rejects(encoded[REJECTED])
        manifest: beam.PCollection[Manifest] = encoded.payloads | "Write" >> WriteShardFiles(self._settings)
        return manifest


@beam.typehints.with_input_types(Block)
@beam.typehints.with_output_types(PayloadBatch, **{REJECTED: Reject})
class _EncodeFn(beam.DoFn):
    """Encodes the events of a block in Avro, each with its hour as its path."""

    def __init__(self, time_range: TimeRange, max_line_bytes: int) -> None:
        self._range = time_range
        self._max_line_bytes = max_line_bytes
        self._partition = HourPartition()

    def process(self, block: Any) -> Iterable[Any]:
        found = decode_block(block, self._max_line_bytes)
        events = found.decoded.events
        rejects = list(found.rejects)
        # With origins: they decide the order in the files, so that the same input gives the same files.
        batch = PayloadBatch(source_uri=block.uri)
        out_of_range = 0
        for event, place, start in zip(events, found.places(), found.decoded.offsets(), strict=True):
            # Most archives take everything; then no event is asked for its time here.
            if self._range != _ALWAYS and not self._range.holds(event):
                out_of_range += 1
                continue
            try:
                payload = encode_avro(event)
            # Avro's long holds microseconds until then, and lines may claim later times.
            except OverflowError:
                error = DecodeError("a time is beyond the year 294247, which an archive does not hold")
                line = block.data[start:].partition(b"\n")[0]
                rejects.append(decode_reject(line, error, block.uri, place))
                continue
            batch.payloads.append(payload)
            batch.offsets.append(place)
            batch.paths.append(self._partition.route(event))
        counters.count_block(block)
        counters.add("read", found.read)
        counters.add("undecodable", len(rejects))
        counters.add("out_of_range", out_of_range)
        counters.add("formatted", len(batch), ARCHIVE)
        progress.tell(read_bytes=len(block.data), events=found.read, rejected=len(rejects))
        if batch.payloads:
            yield batch
        for reject in rejects:
            yield beam.pvalue.TaggedOutput(REJECTED, reject)
        progress.obey()
