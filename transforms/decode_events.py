"""`DecodeEvents`: decodes lines, messages or blocks that Dovecot exported into events."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from dovebeam.transforms import counters
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES, decode_json_block, decode_tab_block
from dovebeam.transforms.error_handling import REJECTED, RejectingTransform
from dovebeam.transforms.errors import DecodeError, UnknownNameError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.reject import Reject, decode_reject
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import Block, unpacked_payload

__all__ = ["INPUT_FORMATS", "DecodeEvents"]

# No Avro: its records have no lines, and come in blocks, which know their format.
INPUT_FORMATS = ("auto", "json", "tab-text")


class DecodeEvents(RejectingTransform):
    """Decodes lines and messages (bytes, or str as UTF-8); each line is an event; blank lines are skipped.

    A message may contain several lines, and may be compressed with gzip or zstd. The transform also accepts the blocks
    of `ReadFromFiles` and of the sources of streams, which contain many lines, or records of an archive.

    Args:
        input_format: format of lines: "json", "tab-text", or "auto", which decodes a line that starts with a brace as
            JSON. Blocks have their own format.
        max_line_bytes: longer lines are rejected.

    Rejects: lines that are not an event, with their original bytes and the offset of the error, and for blocks with the
    file or the message. A message that cannot be decompressed is one reject.
    """

    def __init__(self, input_format: str = "auto", *, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        super().__init__()
        if input_format not in INPUT_FORMATS:
            raise UnknownNameError("input format", input_format, INPUT_FORMATS)
        self._input_format = input_format
        self._max_line_bytes = max_line_bytes

    def display_data(self) -> dict[str, Any]:
        """The format and the limit, for a runner's user interface."""
        return {"input_format": self._input_format, "max_line_bytes": self._max_line_bytes}

    def expand(self, lines: beam.PCollection[bytes | str | Block]) -> beam.PCollection[Event]:
        """Lines, messages or blocks to events."""
        decode = beam.ParDo(_DecodeFn(self._input_format, self._max_line_bytes))
        outputs = lines | "Decode" >> decode.with_outputs(REJECTED, main="events")
        self.route_rejects(outputs[REJECTED])
        events: beam.PCollection[Event] = outputs["events"]
        return events


@beam.typehints.with_input_types(bytes | str | Block)
@beam.typehints.with_output_types(Event, **{REJECTED: Reject})
class _DecodeFn(beam.DoFn):
    def __init__(self, input_format: str, max_line_bytes: int) -> None:
        self._format = input_format
        self._max_line_bytes = max_line_bytes

    def process(self, element: Any) -> Iterable[Any]:
        return self._decode_block(element) if isinstance(element, Block) else self._decode_lines(element)

    def _decode_block(self, block: Block) -> Iterable[Any]:
        found = decode_block(block, self._max_line_bytes)
        counters.count_block(block)
        counters.add("read", found.read)
        counters.add("undecodable", len(found.rejects))
        yield from found.decoded.events
        for reject in found.rejects:
            yield beam.pvalue.TaggedOutput(REJECTED, reject)

    def _decode_lines(self, element: bytes | str) -> Iterable[Any]:
        # Text may hold bytes that are not UTF-8 as surrogates; a reject must have the original bytes.
        given = element.encode("utf-8", "surrogateescape") if isinstance(element, str) else element
        try:
            lines = unpacked_payload(given, ())
        except DecodeError as error:
            # Its lines cannot be counted, so the message counts as one.
            counters.add("read", 1)
            yield self._rejected(given, error)
            return
        # The first byte chooses the decoder. With auto it takes lines of the other format, too (`mixed`), because one
        # file or message may hold the lines of several exporters.
        is_json = self._format == "json" or (self._format == "auto" and lines.lstrip().startswith(b"{"))
        decoded = (decode_json_block if is_json else decode_tab_block)(
            lines, max_bytes=self._max_line_bytes, mixed=self._format == "auto"
        )
        counters.add("read", len(decoded.events) + len(decoded.bad_lines))
        yield from decoded.events
        for bad in decoded.bad_lines:
            yield self._rejected(bad.line, bad.error)

    @staticmethod
    def _rejected(line: bytes, error: DecodeError) -> Any:
        counters.add("undecodable", 1)
        return beam.pvalue.TaggedOutput(REJECTED, decode_reject(line, error))
