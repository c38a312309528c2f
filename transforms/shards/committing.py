"""The commit: files get their final names, all or, if it is interrupted, when it is run again.

Nothing that exists is replaced unless the manifest of the same run says that the run itself has put it there, and it is
still what the run has put there. The manifest is written before the first file gets its name, so that a commit that was
interrupted, or is run twice, finds out what is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.manifest import (
    Manifest,
    ManifestError,
    ManifestFile,
    manifest_from_json,
    manifest_to_json,
    sorted_files,
)
from dovebeam.transforms.shards.pieces import WrittenFile
from dovebeam.transforms.shards.store import Store, fingerprint

__all__ = ["commit"]

_MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024
_Own = Mapping[str, set[tuple[int, str]]]


def commit(store: Store, layout: Layout, files: Sequence[WrittenFile]) -> Manifest:
    """Puts the files of a run in place.

    Args:
        store: where they are.
        layout: of the run.
        files: all of them.

    Raises:
        DeliveryError: a final name is taken by somebody else, or the place refuses something. The job fails; running it
            again goes on.
    """
    earlier = _earlier(store, layout)
    own = earlier.own() if earlier else {}
    _check_names(store, [file.name for file in files], own, layout)
    described = sorted_files(_describe(file) for file in files)
    manifest = Manifest(
        exporter=layout.exporter,
        run_id=layout.run_id,
        state="committing",
        events=sum(file.events for file in files),
        files=described,
        replaces=_every(earlier, {(each.name, each.sha256) for each in described}),
    )
    store.write(layout.manifest, manifest_to_json(manifest))
    for file in files:
        _publish(store, file)
    _remove_others(store, own, {file.name for file in files})
    done = Manifest(
        exporter=layout.exporter, run_id=layout.run_id, state="done", events=manifest.events, files=described
    )
    store.write(layout.manifest, manifest_to_json(done))
    store.delete_tree(layout.temporary)
    return done


def _earlier(store: Store, layout: Layout) -> Manifest | None:
    """The manifest that an earlier or interrupted run of this name left."""
    if not store.exists(layout.manifest):
        return None
    with store.open(layout.manifest) as file:
        data = file.read(_MAX_MANIFEST_BYTES)
    try:
        manifest = manifest_from_json(data, layout.manifest)
    except ManifestError as error:
        raise DeliveryError(str(error), layout.manifest) from error
    if (manifest.exporter, manifest.run_id) != (layout.exporter, layout.run_id):
        message = f"{layout.manifest} is of exporter {manifest.exporter!r} and run {manifest.run_id!r}, not of this one"
        raise DeliveryError(f"{message}; move it away, or name another run", layout.manifest)
    return manifest


def _every(earlier: Manifest | None, new: set[tuple[str, str]]) -> tuple[ManifestFile, ...]:
    """What earlier runs may have left in place, but for what is the same in this one."""
    if earlier is None:
        return ()
    found = {(each.name, each.sha256): each for each in (*earlier.files, *earlier.replaces)}
    return sorted_files(each for key, each in found.items() if key not in new)


def _check_names(store: Store, names: Iterable[str], own: _Own, layout: Layout) -> None:
    """Refuses to replace what the run did not make; before anything is renamed."""
    for name in names:
        if store.exists(name) and not _is_own(store, name, own):
            raise DeliveryError(
                f"{name} exists, and run {layout.run_id!r} has not made it, or it was changed since; nothing was "
                "replaced (move it away, or give another --run_id)",
                name,
            )


def _is_own(store: Store, name: str, own: _Own) -> bool:
    known = own.get(name)
    return known is not None and tuple(fingerprint(store, name)) in known


def _publish(store: Store, file: WrittenFile) -> None:
    """Gives a file its name; if a commit that was interrupted has already done so, that is seen by its checksum."""
    if store.exists(file.temporary):
        store.publish(file.temporary, file.name)
    elif not store.exists(file.name) or tuple(fingerprint(store, file.name)) != (file.bytes, file.sha256):
        message = f"{file.temporary} is gone before it became {file.name}; is the same run going on elsewhere?"
        raise DeliveryError(f"{message} (run the job again when it is alone)", file.name)


def _remove_others(store: Store, own: _Own, new: set[str]) -> None:
    """Removes files of an earlier run of this name that the new one does not have; changed ones are left alone."""
    for name in own:
        if name not in new and store.exists(name) and _is_own(store, name, own):
            store.delete(name)


def _describe(file: WrittenFile) -> ManifestFile:
    first, last = file.span or (None, None)
    return ManifestFile(file.name, file.events, file.bytes, file.sha256, first, last)
