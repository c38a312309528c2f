"""Shards: files that are complete when a job ends, each event in exactly one of them. Knows nothing of Beam.

A job writes in three steps, and only the last one touches final names:

1. Parts. Every bundle writes its payloads to a part, an object of its own, and hands on its pieces: where in the source
   a piece begins, to which file it belongs, where its bytes are (`part_writer`). The part of a failed bundle is not
   referred to by any piece.
2. Files. All pieces are put into the order of the source and cut into files (`pieces`), so names and bytes do not
   depend on how a runner made bundles. Each file is written under a temporary name and read back (`composing`).
3. Commit. A manifest lists the files, the files are renamed, and the manifest is marked as done (`committing`).

A stream makes such files of each window; what waits for its window is in a spool (`spool`). An archive is a set of such
files by the hour (`archive`).
"""
