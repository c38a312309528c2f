"""The command line of a collector, as far as it needs none."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from dovebeam.pipelines.collect.options import Address, CollectOptions, add_arguments, parse_collect
from dovebeam.pipelines.terminal.exit_codes import UsageError
from support.jobs.commands import dovebeam


def parse(*arguments: str) -> CollectOptions:
    """The options."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return parse_collect(parser, ["--spool=/s", *arguments])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/x", Address(path="/run/x")),
        ("http://127.0.0.1:8080/", Address(host="127.0.0.1", port=8080)),
        ("http://127.0.0.1:8080", Address(host="127.0.0.1", port=8080)),
        ("http://[::1]:80/a/b", Address(host="::1", port=80, location="/a/b")),
        ("http://localhost:1/x", Address(host="localhost", port=1, location="/x")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """What can be listened to, and that it is told back in the same form."""
    assert parse("--listen", text).listen == (address,)
    assert str(address) in {text, f"{text}/"}


def test_values() -> None:
    """Sizes, times and bits in their units."""
    options = parse(
        *("--listen=unix:/a", "--listen=unix:/b", "--listen=unix:/a", "--fsync=always", "--rotate_size=1M"),
        *("--rotate_interval=2m", "--keep=7d", "--socket_mode=0660", "--file_mode=640", "--request_timeout=5s"),
    )
    assert [str(each) for each in options.listen] == ["unix:/a", "unix:/b"]
    assert (options.fsync, options.rotate_size, options.rotate_interval, options.keep) == (
        "always",
        1 << 20,
        120,
        604800,
    )
    assert (options.socket_mode, options.file_mode, options.request_timeout) == (0o660, 0o640, 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--listen is missing"),
        (["--listen=unix:/x", "--spool="], "--spool is missing"),
        (["--listen=unix:x"], "absolute path"),
        (["--listen=unix:/x/"], "absolute path"),
        ([f"--listen=unix:/{'x' * 107}"], "at most 107 bytes"),
        (["--listen=tcp:9"], "is not a valid address"),
        (["--listen=http://127.0.0.1/"], "is not a valid address"),
        (["--listen=http://127.0.0.1:99999/"], "is not a valid address"),
        (["--listen=http://user:pw@127.0.0.1:99/"], "is not a valid address"),
        (["--listen=http://127.0.0.1:99/?x"], "is not a valid address"),
        (["--listen=http://0.0.0.0:99/"], "add --token"),
        (["--listen=http://[::]:99/"], "add --token"),
        (["--listen=http://mail.example:99/"], "add --token"),
        (["--listen=https://127.0.0.1:99/"], "add --tls_cert"),
        (["--listen=http://127.0.0.1:99/", "--tls_cert=x"], "has no effect"),
        (["--listen=http://127.0.0.1:99/", "--tls_key=x"], "has no effect"),
    ],
)
def test_refused(arguments: list[str], words: str) -> None:
    """What cannot be meant, and what to write instead."""
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--keep=7", "is not a valid duration"),
        ("--rotate_interval=0s", "is too short"),
        ("--socket_mode=999", "are not valid permission bits"),
        ("--max_connections=0", "write 1 or more"),
        ("--rotate_size=big", "is not a valid size"),
        ("--fsync=often", "invalid choice"),
        ("--listne=x", "unrecognized"),
    ],
)
def test_bad_values(argument: str, words: str) -> None:
    """Exit code 2, and what is wrong."""
    ran = dovebeam("collect", "--listen=unix:/x", "--spool=/s", argument)
    assert ran.code == 2
    assert words in ran.err


def test_start_errors(tmp_path: Path) -> None:
    """What cannot be had at the start ends it with a sentence and code 1; secrets are not repeated."""
    listen = f"--listen=unix:{tmp_path / 'socket'}"
    spool = f"--spool={tmp_path / 'spool'}"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = [
            ([listen, f"--spool={tmp_path}/no/spool"], "failed: No such file or directory"),
            ([f"--listen=unix:{tmp_path}/no/socket", spool], "failed: No such file or directory"),
            ([f"--listen=unix:{plain}", spool], "is not a socket (remove it, or choose another path)"),
            (
                [f"--listen=http://127.0.0.1:{port}/", spool],
                f"another program listens to http://127.0.0.1:{port}/ (stop",
            ),
            ([listen, spool, "--token=sEcReT"], "not the token itself"),
            ([listen, spool, "--token=env:NO_SUCH_NAME"], "NO_SUCH_NAME is not set"),
            ([listen, spool, f"--token=file:{plain}"], "there is nothing at"),
            (["--listen=https://127.0.0.1:1/", spool, f"--tls_cert={tmp_path}/no"], "No such file"),
            (["--listen=https://127.0.0.1:1/", spool, f"--tls_cert={plain}"], f"--tls_cert {plain}"),
        ]
        for arguments, words in cases:
            ran = dovebeam("collect", *arguments)
            assert (ran.code, ran.out) == (1, ""), arguments
            assert words in ran.err
            assert "sEcReT" not in ran.err
            assert ran.err.count("\n") == 1
