"""The directory of a reader of the documentation: the files that pages speak of, and an environment for commands."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from support.jobs.warm_commands import shell_folder
from support.oracle.corpus import corpus_lines
from support.pages.documents import ROOT

COMMON_EVENTS = 3000

_CONFIG = """dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {
  driver = file
  file_path = @HOME@/written.json
  format = json
}
metric commands {
  filter = event=imap_command_finished
  exporter = out
}
"""
_KEPT = ("LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def environment(*first: str) -> dict[str, str]:
    """A plain user's environment, with what the machine needs to reach a package index; `first` leads the PATH."""
    kept = {name: text for name, text in os.environ.items() if name.upper() in _KEPT or name.startswith("PIP_")}
    return {**kept, "PATH": ":".join((*first, "/usr/local/bin", "/usr/bin", "/bin"))}


def environment_under_test() -> dict[str, str]:
    """The same with the `dovebeam` under test on the PATH, whose start is not what pages are about."""
    warm = shell_folder(environment())
    return environment(*filter(None, [warm and str(warm), str(Path(sys.executable).parent)]))


def common_home(folder: Path) -> Path:
    """A directory with events of a real Dovecot and a configuration for them, under the names that pages use."""
    home = folder / "home"
    home.mkdir()
    lines = b"".join(line + b"\n" for line in corpus_lines("events.json.gz")[:COMMON_EVENTS])
    (home / "events.json").write_bytes(lines)
    (home / "events").mkdir()
    (home / "events" / "1.json.gz").write_bytes(gzip.compress(lines, 1))
    (home / "dovecot.conf").write_text(_CONFIG.replace("@HOME@", str(home)))
    return home


@contextlib.contextmanager
def mail_server(home: Path) -> Iterator[str]:
    """A folder with the directories of a mail server, as /etc, /run, /srv and /var, and the reader's configuration.

    Its path is short, since that of a unix socket may have only 107 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        root = Path(folder)
        for name in ("etc/dovebeam", "etc/dovecot", "run/dovebeam", "srv", "var/lib/dovebeam", "var/log/dovecot"):
            (root / name).mkdir(parents=True)
        for name in ("var/spool", "var/spool/dovebeam"):
            (root / name).mkdir(mode=0o700)
        for name in ("etc/dovebeam", "etc/dovecot"):
            shutil.copy(home / "dovecot.conf", root / name)
        yield f"{root}/"


def with_all_events(home: Path) -> None:
    """All events of the corpus instead of the first."""
    lines = b"".join(line + b"\n" for line in corpus_lines("events.json.gz"))
    (home / "events" / "1.json.gz").write_bytes(gzip.compress(lines, 1))


def with_rejects(home: Path) -> None:
    """Rejects of an earlier job, in the directory and the file that pages name."""
    from dovebeam.transforms.events.reject import make_reject, reject_to_json

    (home / "rejects").mkdir()
    record = reject_to_json(make_reject("decode", corpus_lines("events.json.gz")[0], "damaged on its way"))
    for name in ("rejects.jsonl", "rejects/monday.jsonl"):
        (home / name).write_bytes(record if record.endswith(b"\n") else record + b"\n")


def with_schemas(home: Path) -> None:
    """The JSON Schemas of the project."""
    shutil.copytree(ROOT / "docs" / "reference" / "schemas", home, dirs_exist_ok=True)


def after_make_demo(home: Path) -> None:
    """A checkout in which `make demo` was run: the environment under test as .venv, and the demo's events."""
    (home / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    (home / "demo").mkdir()
    events = files("dovebeam.pipelines") / "samples" / "events.json.gz"
    (home / "demo" / "events.json.gz").write_bytes(events.read_bytes())
