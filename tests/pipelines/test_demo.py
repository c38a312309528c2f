"""The demo, as a newcomer sees it."""

from __future__ import annotations

from pathlib import Path

from support.jobs.commands import dovebeam


def test_demo(tmp_path: Path) -> None:
    """It writes a directory, runs the export there, shows its output and says what to try next."""
    ran = dovebeam("demo", tmp_path / "demo")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "dovecot.conf",
        "events.json.gz",
        "ledger.json",
        "out",
    ]
    for words in ("$ dovebeam export --config", "read          3,000", "failed-logins.json (", "Next: change a filter"):
        assert words in ran.out
    assert all((tmp_path / "demo" / "out" / name).stat().st_size for name in ("failed-logins.json", "heavy-imap.tab"))
    assert "Recipient address rejected" in ran.err


def test_again_with_another_filter(tmp_path: Path) -> None:
    """A changed configuration is kept and used, and its output is that of this run alone."""
    config, output = tmp_path / "dovecot.conf", tmp_path / "out" / "failed-logins.json"
    assert dovebeam("demo", tmp_path).code == 0
    first = output.read_bytes()
    assert dovebeam("demo", tmp_path).code == 0
    assert output.read_bytes() == first
    config.write_text(config.read_text().replace("AND NOT success=yes", "AND success=yes"))
    ran = dovebeam("demo", tmp_path)
    assert ran.code == 0
    assert "Kept " in ran.out
    assert output.read_bytes() not in (first, b"")


def test_a_typo_is_shown(tmp_path: Path) -> None:
    """The demo ends as the export does."""
    assert dovebeam("demo", tmp_path).code == 0
    config = tmp_path / "dovecot.conf"
    config.write_text(config.read_text().replace("filter = event", "fliter = event", 1))
    ran = dovebeam("demo", tmp_path)
    assert ran.code == 78
    assert "did you mean 'filter'?" in ran.err


def test_other_directories_are_left_alone(tmp_path: Path) -> None:
    """A directory with something else in it, a production configuration above all, is not used."""
    (tmp_path / "dovecot.conf").write_text("# mine")
    ran = dovebeam("demo", tmp_path)
    assert ran.code == 1
    assert "name a new directory" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["dovecot.conf"]


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    """A file in its place is told."""
    (tmp_path / "file").touch()
    ran = dovebeam("demo", tmp_path / "file" / "demo")
    assert ran.code == 1
    assert "name another directory" in ran.err
