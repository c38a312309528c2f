"""`DecodeEvents`: lines that Dovecot exported, one by one or in blocks, become events."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from dovebeam.transforms import counting
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES, decode_json, decode_tab
from dovebeam.transforms.decoding import decode_block
from dovebeam.transforms.errors import DecodeError, UnknownNameError
from dovebeam.transforms.event import Event
from dovebeam.transforms.reject import decode_reject
from dovebeam.transforms.rejecting import REJECTED, RejectingTransform
from dovebeam.transforms.sources import Block

__all__ = ["INPUT_FORMATS", "DecodeEvents"]

INPUT_FORMATS = ("auto", "json", "tab-text")


class DecodeEvents(RejectingTransform):
    """Decodes lines (bytes, or str as UTF-8), one event each; blank lines are passed over.

    It takes blocks as well, which `ReadBlocks` and the sources of streams give: many lines, or records of an archive.

    Args:
        input_format: of lines: "json", "tab-text", or "auto", which takes a line that begins with a brace for JSON. A
            block knows its format.
        max_line_bytes: longer lines are rejected.

    Rejects: lines that are not an event, with their original bytes and the offset of what is wrong; of blocks
    also with the file, or the message.
    """

    def __init__(self, input_format: str = "auto", *, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        super().__init__()
        if input_format not in INPUT_FORMATS:
            raise UnknownNameError("input format", input_format, INPUT_FORMATS)
        self._input_format = input_format
        self._max_line_bytes = max_line_bytes

    def expand(self, lines: Any) -> Any:
        """PCollection of bytes, str or Block to PCollection of Event."""
        decode = beam.ParDo(_DecodeFn(self._input_format, self._max_line_bytes))
        outputs = lines | "Decode" >> decode.with_outputs(REJECTED, main="events")
        self.route_rejects(outputs[REJECTED])
        return outputs["events"]


@beam.typehints.with_output_types(Event)
class _DecodeFn(beam.DoFn):
    def __init__(self, input_format: str, max_line_bytes: int) -> None:
        self._format = input_format
        self._max_line_bytes = max_line_bytes

    def process(self, element: Any) -> Iterable[Any]:
        return self._decode_block(element) if isinstance(element, Block) else self._decode_line(element)

    def _decode_block(self, block: Block) -> Iterable[Any]:
        found = decode_block(block, self._max_line_bytes)
        counting.count_block(block)
        counting.add("read", found.read)
        counting.add("undecodable", len(found.rejects))
        yield from found.decoded.events
        for reject in found.rejects:
            yield beam.pvalue.TaggedOutput(REJECTED, reject)

    def _decode_line(self, element: bytes | str) -> Iterable[Any]:
        line = element.encode("utf-8", "surrogateescape") if isinstance(element, str) else element
        stripped = line.removesuffix(b"\n").removesuffix(b"\r")
        if not stripped.strip():
            return
        counting.add("read", 1)
        is_json = self._format == "json" or (self._format == "auto" and stripped.lstrip().startswith(b"{"))
        try:
            decode = decode_json if is_json else decode_tab
            yield decode(stripped, max_bytes=self._max_line_bytes)
        except DecodeError as error:
            counting.add("undecodable", 1)
            yield beam.pvalue.TaggedOutput(REJECTED, decode_reject(line, error))
