"""Secrets: how they are written, where they are found, and that none travels."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dovebeam.transforms.drivers.secrets import vault
from dovebeam.transforms.drivers.secrets.secret import NOTHING, Scheme, Secret, secrets_in
from dovebeam.transforms.errors import DeliveryError, DriverSettingError
from support.driver_contract import SECRET
from support.programs import HANG_SECS

_VERSION = "projects/p/secrets/s/versions/latest"


@pytest.mark.parametrize(
    ("written", "scheme", "name"),
    [
        ("env:TOKEN", Scheme.ENVIRONMENT, "TOKEN"),
        ("ENV:_a1", Scheme.ENVIRONMENT, "_a1"),
        ("file:/run/secrets/token", Scheme.FILE, "/run/secrets/token"),
        (f"gsm:{_VERSION}", Scheme.MANAGER, _VERSION),
        ("gsm:projects/p/locations/eu-west1/secrets/s/versions/3", Scheme.MANAGER, None),
        (f"type:GcpSecret;version_name:{_VERSION}", Scheme.MANAGER, _VERSION),
        (f"type:gcpsecret;version_name:{_VERSION}", Scheme.MANAGER, _VERSION),
        ("plain:a:b", Scheme.PLAIN, "a:b"),
        ("", Scheme.PLAIN, ""),
        (SECRET, Scheme.LITERAL, None),
        ("environment:x", Scheme.LITERAL, None),
        ("Bearer x", Scheme.LITERAL, None),
        ("literal:env:TOKEN", Scheme.LITERAL, None),
    ],
)
def test_spellings(written: str, scheme: Scheme, name: str | None) -> None:
    """What a value means."""
    secret = Secret.parse("x", written)
    assert secret.scheme is scheme
    assert name is None or secret.name == name
    assert bool(secret) is bool(written)


def test_literal_says_what_follows() -> None:
    """A secret that begins like a reference can be written."""
    assert Secret.parse("x", "literal:env:TOKEN").reveal("x") == "env:TOKEN"


@pytest.mark.parametrize(
    "written",
    [
        f"env:{SECRET}",
        "env:",
        "env:1A",
        "env:A\n",
        "file:relative",
        "file:",
        "file:/a\0b",
        "gsm:s",
        f"gsm:{_VERSION}\n",
        "gsm:projects/p/secrets/../versions/1",
        "type:GcpSecret;version_name:s",
    ],
)
def test_bad_references_are_refused_at_launch(written: str) -> None:
    """The error names the setting and how to write it, never the value, which may be a secret after all."""
    with pytest.raises(DriverSettingError) as caught:
        Secret.parse("event_exporter_http_post_auth_token", written)
    assert caught.value.setting == "event_exporter_http_post_auth_token"
    assert SECRET not in str(caught.value)
    assert "such as" in caught.value.message or "write" in caught.value.message or "name of" in caught.value.message


def test_a_secret_is_a_value_and_pickles_without_its_text() -> None:
    """Equal texts are equal secrets, before and after pickling; the pickle and the representation hold no text."""
    secret = Secret.literal(SECRET)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(secret, protocol)
        assert SECRET.encode() not in data
        assert pickle.loads(data) == secret
        assert hash(pickle.loads(data)) == hash(secret)
    assert secret == Secret.literal(SECRET) != Secret.literal(f"{SECRET}2")
    assert SECRET not in f"{secret!r} {secret}"
    assert pickle.loads(pickle.dumps(secret)).reveal("x") == SECRET


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable's value now; a missing one is named."""
    secret = Secret.parse("x", "env:DOVEBEAM_TEST_SECRET")
    monkeypatch.setenv("DOVEBEAM_TEST_SECRET", SECRET)
    assert secret.reveal("x") == SECRET
    monkeypatch.delenv("DOVEBEAM_TEST_SECRET")
    with pytest.raises(DeliveryError, match=r"^x: the environment variable DOVEBEAM_TEST_SECRET is not set"):
        secret.reveal("x")


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), (b"\xff", "\udcff"), (b"", "")],
)
def test_file(tmp_path: Path, content: bytes, text: str) -> None:
    """A file's content, without one line end at its end."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert Secret.parse("x", f"file:{path}").reveal("x") == text


def test_mounted_secret_is_a_symlink_and_can_be_replaced(tmp_path: Path) -> None:
    """Kubernetes mounts a link to a link, and changes the inner one; the next look sees the new content."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(version)
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "token").symlink_to("data/token")
    secret = Secret.parse("x", f"file:{tmp_path}/token")
    assert (secret.reveal("x"), secret.can_change) == ("1", True)
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(tmp_path / "data")
    assert secret.reveal("x") == "2"


def test_bad_files(tmp_path: Path) -> None:
    """What is missing, not a file or far too long is an error that names setting and path, and nothing waits for a pipe."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b"x" * 65537)
    for name, reason in {
        "missing": "No such file",
        "pipe": "not a regular file",
        "long": "longer than 65536 bytes",
        ".": "Is a directory",
    }.items():
        with pytest.raises(DeliveryError, match=f"^x: .*{reason}"):
            Secret.parse("x", f"file:{tmp_path}/{name}").reveal("x")


_REVEAL = "import pickle, sys; print(pickle.load(sys.stdin.buffer).reveal('the_setting'))"


def _reveal_elsewhere(secret: Secret) -> subprocess.CompletedProcess[str]:
    """Unpickles and reveals a secret in another process."""
    done = subprocess.run(
        [sys.executable, "-c", _REVEAL], input=pickle.dumps(secret), capture_output=True, check=False, timeout=HANG_SECS
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_another_process_finds_a_literal_only_if_it_is_shared() -> None:
    """Within `SharedSecrets` the text arrives; without, the error says to give the secret by reference."""
    secret = Secret.literal(f"{SECRET}\udcff")
    alone = _reveal_elsewhere(Secret.literal(SECRET))
    assert alone.returncode == 1
    assert "DeliveryError: the_setting: " in alone.stderr
    assert "give it by reference: env:NAME" in alone.stderr
    with vault.SharedSecrets([Secret.literal(SECRET).name, secret.name]):
        directory = Path(os.environ[vault.ENVIRONMENT])
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        files = list(directory.iterdir())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert SECRET not in " ".join(map(str, files))
        assert _reveal_elsewhere(Secret.literal(SECRET)).stdout == f"{SECRET}\n"
    assert not directory.exists()
    assert vault.ENVIRONMENT not in os.environ


def test_nothing_shared_makes_no_directory() -> None:
    """A job without written-out secrets leaves no trace on the machine."""
    with vault.SharedSecrets([]):
        assert vault.ENVIRONMENT not in os.environ


def test_a_worker_can_clean_up_after_its_launcher() -> None:
    """`wipe` removes the directory of shared secrets, and nothing that only looks like one."""
    with vault.SharedSecrets([vault.keep(SECRET)]):
        directory = Path(os.environ[vault.ENVIRONMENT])
        vault.wipe()
        assert not directory.exists()


def test_wipe_touches_no_other_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that leads elsewhere deletes nothing."""
    monkeypatch.setenv(vault.ENVIRONMENT, str(tmp_path))
    vault.wipe()
    assert tmp_path.exists()


@pytest.mark.parametrize("identity", ["../../etc/hostname", "", "0" * 32, "0" * 31 + "/"])
def test_ids_lead_nowhere_else(identity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id from a pickle that somebody made is no path; a symlink in the directory is not followed."""
    monkeypatch.setenv(vault.ENVIRONMENT, str(tmp_path))
    (tmp_path / ("0" * 32)).symlink_to("/etc/hostname")
    assert vault.recall(identity) is None


def test_secrets_in() -> None:
    """All secrets of a value are found, those that are not set left out."""
    first, second = Secret.literal("1"), Secret.parse("x", "env:A")
    assert list(secrets_in((first, NOTHING, ("name", second), "text", None))) == [first, second]
