"""Outputs of a job: checked before it starts, and written so that no other file is lost.

Without these checks a mistyped `--ledger` could replace a configuration, and a production `dovecot.conf` that is tried
on the events that Dovecot itself wrote would append them to the same file.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from apache_beam.io.filesystems import FileSystems

from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.transforms import local_files
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.drivers.file.names import compressed_name
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.filesystems import match_files, store_error_text
from dovebeam.transforms.local_files import is_url

__all__ = [
    "check_appendable",
    "check_far_outputs",
    "check_outputs",
    "check_rejects_path",
    "check_replaceable",
    "claim",
    "replace_file",
]

# O_NOFOLLOW is Dovecot's own rule for such files; O_NONBLOCK keeps a pipe without a reader from blocking the launch.
_APPEND: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_PRIVATE: Final = 0o600
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_HEAD_BYTES: Final = 200
# The first member of a ledger, also of a dry run's. By it a ledger is told from any other file of JSON.
_LEDGER: Final = re.compile(rb'\{\s{0,20}(?:"dry_run":\s{0,20}true,\s{0,20})?"read":')

_FIRST_MEMBER: Final = b'{"timestamp":'
"""Start of every line of a file of rejects."""


def check_outputs(
    drivers: Mapping[str, Driver], *, read: Sequence[str], rejects: str | None, ledger: str | None
) -> None:
    """Makes sure that the outputs of a job can be written, and are neither its input nor one another.

    Args:
        drivers: of its exporters, by name. Those that append to a file on this machine are checked; two of them may
            share it, as in Dovecot.
        read: patterns of its input.
        rejects: path or URL for rejects, None if they are only counted.
        ledger: file for the ledger, None for none.

    Raises:
        UsageError: two outputs are one file, or an output is also input or would replace something else.
        DeliveryError: a local file cannot be written, or the object for rejects exists.
        SourceError: a pattern matches nothing.
    """
    targets = dict(_appended_files(drivers))
    _check_apart(rejects, ledger, targets)
    if ledger is not None and ledger != STDOUT:
        check_replaceable(ledger)
    if rejects is not None:
        check_rejects_path(rejects, read)
    _check_unread(read, targets)


def _appended_files(drivers: Mapping[str, Driver]) -> Iterator[tuple[str, str]]:
    """Real paths of the files that exporters append to, and the exporter of each."""
    # Paths that depend on the event are known only then; shards never replace a file that is not theirs.
    for name, driver in drivers.items():
        if isinstance(driver, FileDriver) and driver.file_writing == "append" and driver.router() is None:
            yield os.path.realpath(compressed_name(driver.file_path, driver.file_compression)), name


def _check_apart(rejects: str | None, ledger: str | None, targets: Mapping[str, str]) -> None:
    real_rejects, real_ledger = (
        None if path is None or path == STDOUT or is_url(path) else os.path.realpath(path) for path in (rejects, ledger)
    )
    if real_rejects is not None and real_rejects == real_ledger:
        raise UsageError(f"--rejects and --ledger are both {ledger}; name two files")
    for option, path in (("--rejects", real_rejects), ("--ledger", real_ledger)):
        if path is not None and path in targets:
            raise UsageError(f"{option} {path} is the file of event_exporter {targets[path]}; name another file")


def _check_unread(read: Sequence[str], targets: Mapping[str, str]) -> None:
    patterns = [pattern for pattern in read if not is_url(pattern)]
    for file in match_files(patterns) if patterns and targets else ():
        name = targets.get(os.path.realpath(file.location))
        if name is not None:
            raise UsageError(
                f"event_exporter {name} appends to {file.uri}, which --input reads, so its events would be in it "
                "twice; move the file first, override file_path in another --config file, or use --preview"
            )


def check_far_outputs(rejects: str | None, ledger: str | None, *, wait: bool) -> None:
    """Refuses outputs that a remote batch job cannot have.

    Args:
        rejects: path or URL for rejects, None if they are only counted.
        ledger: file for the ledger, None for none.
        wait: whether the end of the job is waited for.

    Raises:
        UsageError: there is such an output, or rejects would be lost.
    """
    if rejects is not None and not is_url(rejects):
        raise UsageError("--rejects is a file on this machine, but the job is remote; write it as gs://...")
    if ledger is not None and not wait:
        raise UsageError("--ledger needs the end of the job, which is remote; add --wait")
    # Without either, rejects would be counted somewhere, and no exit code would tell.
    if rejects is None and not wait:
        raise UsageError(
            "a remote job without --wait needs a place for its rejects; add --rejects gs://BUCKET/OBJECT, or --wait"
        )


def check_rejects_path(path: str, inputs: Sequence[str] = ()) -> None:
    """Checks at launch that rejects can be written, and do not become input of the same job.

    Args:
        path: of a file, or URL of an object.
        inputs: patterns of the job's input.

    Raises:
        DeliveryError: the local file cannot be appended to, the object exists, or its store does not answer.
        UsageError: the local file is one of those that are read, or holds something else than rejects.
        SourceError: a pattern matches nothing.
    """
    if not is_url(path):
        existed = os.path.lexists(path)
        # Created before the comparison, since a pattern such as *.jsonl would match it later, too.
        check_appendable(path)
        if _is_read(path, inputs):
            if not existed:
                os.unlink(path)  # created a moment ago, and empty
            raise UsageError(f"--rejects {path} is one of the files that --input reads; name another file for them")
        head = head_of(path)
        if head and not head.startswith(_FIRST_MEMBER):
            raise UsageError(f"--rejects {path} exists and holds no rejects; name another file for them")
    elif _exists(path):
        raise DeliveryError(f"{path} exists; name another object for the rejects, or delete this one", path)


def _is_read(path: str, inputs: Sequence[str]) -> bool:
    """Whether a file is among the input."""
    # By inode, since one file can have several paths.
    local = [pattern for pattern in inputs if not is_url(pattern)]
    made = os.stat(path)
    return any(os.path.samestat(made, os.stat(file.location)) for file in (match_files(local) if local else ()))


def _exists(path: str) -> bool:
    try:
        return bool(FileSystems.exists(path))
    except Exception as error:  # each file system has its own exceptions
        raise DeliveryError(f"--rejects {path}: {store_error_text(error)}", path) from error


def check_appendable(path: str) -> None:
    """Opens a file like the `file` driver, which creates it if it does not exist.

    Raises:
        DeliveryError: it cannot be appended to.
    """
    try:
        os.close(os.open(path, _APPEND, _PRIVATE))
    except OSError as error:
        raise delivery_error("open", path, error) from error


def claim(path: str) -> None:
    """Creates an empty file.

    Raises:
        FileExistsError: something has that name already.
        DeliveryError: it cannot be created.
    """
    try:
        os.close(local_files.open_new(path, _PRIVATE))
    except FileExistsError:
        raise
    except OSError as error:
        raise delivery_error("open", path, error) from error


def head_of(path: str) -> bytes:
    """First bytes of a regular file; empty if it does not exist, is not regular or cannot be read."""
    try:
        with open(os.open(path, _READ), "rb") as file:
            return file.read(_HEAD_BYTES) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def check_replaceable(path: str) -> None:
    """Makes sure that `replace_file` can write a ledger, and would replace nothing but an older ledger.

    Raises:
        UsageError: the path is a URL, a device or the like, or a file with other content.
        DeliveryError: its directory does not exist or cannot be written, or the path is a directory.
    """
    if is_url(path):
        raise UsageError(f"--ledger {path} is a URL, and a ledger is a file on this machine; write a path")
    head = head_of(path)
    if head and not _LEDGER.match(head):
        raise UsageError(f"--ledger {path} exists and is not a ledger, so it is not replaced; name another file")
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode) if os.path.lexists(path) else stat.S_IFREG
        if kind not in {stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR}:
            raise UsageError(f"--ledger {path} is not a regular file, and would be replaced by one; name another file")
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # Replacing needs a new file in the directory, so the permission of that is what counts.
        trial = _temporary(path)
        os.close(local_files.open_new(trial, _PRIVATE))
        os.unlink(trial)
    except OSError as error:
        raise delivery_error("open", path, error) from error


def replace_file(path: str, content: bytes) -> None:
    """Writes a file atomically: readers see the old one or the complete new one, also after a power failure.

    A new file has mode 0600, since reasons of rejects may quote events and targets name hosts. A replaced file keeps
    its mode, so one `chmod` is enough to let others read it.

    Raises:
        DeliveryError: it cannot be written; the old file is unchanged.
    """
    try:
        local_files.replace_file(path, content, _mode_of(path), is_exact=True)
    except OSError as error:
        raise delivery_error("write", path, error) from error


def _mode_of(path: str) -> int:
    """Permissions for the new file: those of the replaced one, if it belongs to this user."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return _PRIVATE
    return found.st_mode & 0o777 if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() else _PRIVATE


def _temporary(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name[:100]}.{secrets.token_hex(8)}")
