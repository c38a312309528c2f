"""Files into a pipeline: `ReadFromFiles` finds them, tells what they are, and reads them in blocks.

What comes out are blocks of about 112 KiB and not lines, because Beam does the same work for an element of one line as
for one of hundreds. Plain text files are split, at launch and while they are read, at cell borders (`sources.lines`),
so that each line is read exactly once whatever a runner does; compressed files and Avro are read as a whole each.

Patterns are those of Beam's file systems: local paths, `gs://` and what else is installed; `*` stops at a slash, `**`
does not. Counters in the namespace `dovebeam.reading`: `files`, `blocks` and `bytes` (uncompressed).
"""

from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.read_from_files import DEFAULT_SHARD_BYTES, ReadAllFromFiles, ReadFromFiles
from dovebeam.transforms.sources import FoundFile

__all__ = ["DEFAULT_SHARD_BYTES", "FoundFile", "ReadAllFromFiles", "ReadFromFiles", "match_files"]
