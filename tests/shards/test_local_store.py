"""A directory of this machine as a place for files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.local_store import LocalStore, cut_off_note, fingerprint
from dovebeam.transforms.shards.pieces import Fingerprint

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A place for files that their group may read."""
    (tmp_path / "base").mkdir()
    return LocalStore(str(tmp_path / "base"), 0o640, 0o750)


@pytest.fixture
def base(tmp_path: Path, store: LocalStore) -> Path:
    """Its directory."""
    return tmp_path / "base"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The usual one."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def put(store: LocalStore, name: str, content: bytes = b"content", *, is_part: bool = False) -> None:
    """Writes a temporary file."""
    with store.create(name, is_part=is_part) as file:
        file.write(content)


def mode(path: Path) -> int:
    """The mode bits of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def test_modes(store: LocalStore, base: Path) -> None:
    """Parts and their directory are the owner's alone; final files and their directories have the wanted modes."""
    put(store, ".dovebeam/r/a.part", is_part=True)
    put(store, ".dovebeam/r/b.file")
    store.publish(".dovebeam/r/b.file", "d/b", replaces=False)
    store.write("m.json", b"{}")
    assert [mode(base / name) for name in (".dovebeam", ".dovebeam/r", ".dovebeam/r/a.part")] == [0o700, 0o700, 0o600]
    assert [mode(base / name) for name in ("d", "d/b", "m.json")] == [0o750, 0o640, 0o640]


def test_umask(store: LocalStore, base: Path) -> None:
    """Modes are reduced by the umask."""
    os.umask(0o077)
    put(store, ".dovebeam/r/b.file")
    store.publish(".dovebeam/r/b.file", "d/b", replaces=False)
    assert (mode(base / "d"), mode(base / "d/b")) == (0o700, 0o600)


def test_content(store: LocalStore) -> None:
    """What was written is read, from wherever; its fingerprint is that of the content."""
    put(store, "t/a", b"0123456789")
    with store.open("t/a") as file:
        file.seek(4)
        assert file.read(3) == b"456"
    assert fingerprint(store, "t/a").bytes == 10
    put(store, "t/b", b"")
    assert fingerprint(store, "t/b") == Fingerprint(0, EMPTY)


def test_temporary_files_are_new(store: LocalStore) -> None:
    """A name that exists is not written to."""
    put(store, "t/a")
    with pytest.raises(DeliveryError, match="File exists"):
        store.create("t/a", is_part=True)
    assert fingerprint(store, "t/a").bytes == 7


def test_written_files_are_on_the_disk(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What will be published is flushed before it is said to be written, and so is its name; parts need not be."""
    synced: list[str] = []
    fsync = os.fsync

    def watched(fd: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    put(store, "t/a.part", is_part=True)
    assert synced == []
    put(store, "t/b.file")
    store.publish("t/b.file", "d/b", replaces=False)
    store.write("m", b"")
    assert synced[:2] == ["b.file", "d"]
    assert synced[2].startswith(".m.")
    assert synced[3] == "base"


def test_looking_makes_nothing(store: LocalStore, base: Path) -> None:
    """A stamp, opening and deleting make no directories."""
    assert store.stamp("a/b") == ""
    store.delete("a/b")
    store.delete_tree("a/b")
    with pytest.raises(DeliveryError, match="No such file"):
        store.open("a/b")
    assert list(base.iterdir()) == []


def test_base_must_exist(tmp_path: Path) -> None:
    """A missing base is an error for every call, and is not made."""
    store = LocalStore(str(tmp_path / "no"), 0o600, 0o700)
    for call in (lambda: store.stamp("a"), lambda: put(store, "a"), lambda: store.write("a", b"")):
        with pytest.raises(DeliveryError, match="does not exist"):
            call()
    assert not (tmp_path / "no").exists()


def test_stamps(store: LocalStore, base: Path) -> None:
    """A file's stamp is another one when its content is; a directory and a broken link have one, too."""
    (base / "a").write_bytes(b"a")
    first = store.stamp("a")
    assert first == store.stamp("a") != ""
    (base / "a").write_bytes(b"b")
    assert store.stamp("a") != first
    (base / "d").mkdir()
    (base / "l").symlink_to("nowhere")
    assert store.stamp("d")
    assert store.stamp("l")


def test_new_names_replace_nothing(store: LocalStore, base: Path) -> None:
    """A name that was taken meanwhile, by whatever, stays what it is, and the temporary file stays."""
    (base / "taken").write_bytes(b"theirs")
    (base / "link").symlink_to("nowhere")
    for final in ("taken", "link"):
        put(store, f"t/{final}")
        with pytest.raises(DeliveryError, match="File exists"):
            store.publish(f"t/{final}", final, replaces=False)
        assert (base / "t" / final).exists()
    assert (base / "taken").read_bytes() == b"theirs"
    assert (base / "link").readlink() == Path("nowhere")


def test_without_hard_links(store: LocalStore, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has none is renamed in, after a look."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    put(store, "t/a")
    store.publish("t/a", "a", replaces=False)
    assert (base / "a").read_bytes() == b"content"
    put(store, "t/b", b"other")
    with pytest.raises(DeliveryError, match="File exists"):
        store.publish("t/b", "a", replaces=False)
    assert (base / "a").read_bytes() == b"content"


def test_own_names_are_replaced(store: LocalStore, base: Path) -> None:
    """If asked, the new file takes the old one's place."""
    (base / "a").write_bytes(b"old")
    put(store, "t/a")
    store.publish("t/a", "a", replaces=True)
    assert (base / "a").read_bytes() == b"content"
    assert not (base / "t/a").exists()


def test_missing_temporary_file(store: LocalStore) -> None:
    """It cannot be published."""
    put(store, "t/other")
    with pytest.raises(DeliveryError, match="No such file"):
        store.publish("t/a", "a", replaces=False)


def test_manifest_is_replaced_at_once(store: LocalStore, base: Path) -> None:
    """A reader that has the old one open keeps it, and nothing else is left beside it."""
    store.write("m", b"old")
    with (base / "m").open("rb") as file:
        store.write("m", b"new one")
        assert file.read() == b"old"
    assert (base / "m").read_bytes() == b"new one"
    assert [path.name for path in base.iterdir()] == ["m"]


def test_failed_write_leaves_the_old_one(store: LocalStore, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else beside it."""
    store.write("m", b"old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DeliveryError, match="disk is full"):
        store.write("m", b"new")
    assert [(path.name, path.read_bytes()) for path in base.iterdir()] == [("m", b"old")]


def test_what_a_killed_write_leaves_is_known(store: LocalStore, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, which tells what was being written."""
    during: list[str] = []
    fsync = os.fsync

    def look(fd: int) -> None:
        during.extend(path.name for path in base.iterdir())
        fsync(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", look)
        store.write("1.2.x.pieces", b"")
    assert [cut_off_note(name) for name in during] == ["1.2.x.pieces", ""]
    assert during[1] == "1.2.x.pieces"


LINKED: list[tuple[str, Callable[[LocalStore], object]]] = [
    ("t", lambda store: put(store, "t/a")),
    ("t", lambda store: store.open("t/secret")),
    ("t", lambda store: store.stamp("t/secret")),
    ("t", lambda store: store.delete("t/secret")),
    ("t", lambda store: store.delete_tree("t")),
    ("t", lambda store: store.write("t/secret", b"")),
    ("t/u", lambda store: put(store, "t/u/a")),
    ("t/u", lambda store: store.delete_tree("t/u")),
]


@pytest.mark.parametrize(("where", "call"), LINKED)
def test_linked_directories(
    where: str, call: Callable[[LocalStore], object], store: LocalStore, base: Path, tmp_path: Path
) -> None:
    """No directory below the base is entered through a symbolic link, for whatever is to be done there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (base / where).parent.mkdir(exist_ok=True)
    (base / where).symlink_to(outside)
    with pytest.raises(DeliveryError, match=r"symbolic link|Not a directory"):
        call(store)
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_directory_of_another_user(store: LocalStore, base: Path) -> None:
    """Who has made `.dovebeam` could replace what is kept there; that of the base's owner is trusted."""
    own = base / ".dovebeam"
    own.mkdir()
    os.chown(own, 12345, -1)
    for refused in (
        lambda: put(store, ".dovebeam/x/part", is_part=True),
        lambda: store.write(".dovebeam/note", b"1"),
        lambda: store.names(".dovebeam/x"),
        lambda: store.open(".dovebeam/x"),
    ):
        with pytest.raises(DeliveryError, match=r"\.dovebeam belongs to another user \(uid 12345\), .*; remove it"):
            refused()
    assert os.listdir(own) == []
    os.chown(base, 12345, -1)
    put(store, ".dovebeam/x/part", is_part=True)


def test_linked_files(store: LocalStore, base: Path, tmp_path: Path) -> None:
    """A link is not read through, and a manifest takes its place instead of writing where it points."""
    (tmp_path / "secret").write_bytes(b"secret")
    (base / "l").symlink_to(tmp_path / "secret")
    with pytest.raises(DeliveryError, match="symbolic link"):
        store.open("l")
    store.write("l", b"manifest")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert not (base / "l").is_symlink()


def test_names_that_lead_out(store: LocalStore, base: Path) -> None:
    """A name with `..` in it, or a rooted one, is refused."""
    for name in ("../a", "a/../../b", "/a", "a//b", ""):
        with pytest.raises(DeliveryError):
            put(store, name)
    assert list(base.rglob("*")) == []


def test_removing_what_is_temporary(store: LocalStore, base: Path) -> None:
    """All files of a run go, those of another stay; the last one takes the directory with it."""
    put(store, ".dovebeam/one/a")
    put(store, ".dovebeam/one/b")
    put(store, ".dovebeam/two/a")
    store.delete_tree(".dovebeam/one")
    assert [path.name for path in (base / ".dovebeam").iterdir()] == ["two"]
    store.delete_tree(".dovebeam/two")
    assert list(base.iterdir()) == []
    store.delete_tree(".dovebeam/two")
