"""Files that are complete when a job ends, each event in exactly one of them: what is decided, without Beam.

A job writes in three steps, and only the last one touches final names:

1. Parts. Every bundle writes its payloads into an object of its own and says which pieces it has: where in the source
   a piece begins, to which file it belongs, where its bytes are. A bundle that fails leaves one that nobody names.
2. Files. All pieces are put into the order of the source and cut into files (`planning`), so names and bytes do not
   depend on how a runner made bundles. Each file is written under a temporary name and read back.
3. Commit. A manifest says what will be, the files are renamed, and the manifest says that they are there.
"""
