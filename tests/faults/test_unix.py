"""The unix driver against a listener process that dies, returns, reads slowly, and closes in the middle of a line."""

from __future__ import annotations

import time
from pathlib import Path

from support.jobs.delivery_job import DeliveryJob, ids_in, listener_process
from support.programs import HANG_SECS, wait_until

EVENTS = 20_000


def kept(folder: Path) -> list[bytes]:
    """What each connection brought."""
    return [path.read_bytes() for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)]


def size(folder: Path) -> int:
    """How many bytes arrived."""
    return sum(path.stat().st_size for path in folder.iterdir())


def check(job: DeliveryJob, folder: Path, *, once: bool = False) -> None:
    """Every event arrived, in whole lines, and no connection began inside of one."""
    whole = []
    for data in kept(folder):
        *lines, _torn = data.split(b"\n")
        for line in lines:
            assert line.startswith(b'{"event":"fault_test"')
            assert line.endswith(b"}}")
        whole += ids_in(b"\n".join(lines))
    assert set(whole) == set(job.ids)
    if once:
        assert len(whole) == len(job.ids)


def test_listener_is_killed_and_returns(tmp_path: Path) -> None:
    """Within the budget the job goes on where it was; what the dead listener had not read is sent again."""
    path, folder = tmp_path / "s", tmp_path / "kept"
    job = DeliveryJob(tmp_path, "unix", f"unix_path = {path}", "unix_retry_budget = 30 s", events=EVENTS)
    with listener_process(path, folder, "--pause", "3") as first:

        def restart() -> None:
            wait_until(lambda: size(folder) > 500_000, "half a megabyte at the listener")
            first.kill()
            first.wait(HANG_SECS)
            path.unlink()
            time.sleep(0.7)
            second.__enter__()

        second = listener_process(path, folder)
        code, err = job.run(restart)
        second.__exit__(None, None, None)
    assert code == 0, err
    assert len(kept(folder)) >= 2
    check(job, folder)
    job.check_ledger()


def test_listener_that_stays_away_fails_the_job(tmp_path: Path) -> None:
    """Without a budget the job ends at once and says where; run again, with the listener there, everything arrives."""
    path, folder = tmp_path / "s", tmp_path / "kept"
    job = DeliveryJob(tmp_path, "unix", f"unix_path = {path}", events=EVENTS)
    with listener_process(path, folder, "--pause", "3") as listener:

        def kill() -> None:
            wait_until(lambda: size(folder) > 500_000, "half a megabyte at the listener")
            listener.kill()

        code, err = job.run(kill)
    assert code == 1
    assert f"connect({path}) failed: Connection refused (nothing listens there" in err
    assert "event_exporter target" in err
    with listener_process(path, folder):
        code, err = job.run()
    assert code == 0, err
    check(job, folder)


def test_slow_reader(tmp_path: Path) -> None:
    """It slows the job down, and gets every event once."""
    path, folder = tmp_path / "s", tmp_path / "kept"
    job = DeliveryJob(tmp_path, "unix", f"unix_path = {path}", events=EVENTS)
    with listener_process(path, folder, "--pause", "10"):
        begin = time.monotonic()
        code, err = job.run()
        took = time.monotonic() - begin
    assert code == 0, err
    check(job, folder, once=True)
    assert took > size(folder) / 16384 * 0.010
    job.check_ledger()


def test_closed_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """The next connection begins with a whole line, and nothing is missing."""
    path, folder = tmp_path / "s", tmp_path / "kept"
    job = DeliveryJob(tmp_path, "unix", f"unix_path = {path}", events=EVENTS)
    with listener_process(path, folder, "--close_after", "1000001"):
        code, err = job.run()
    assert code == 0, err
    first, *_ = kept(folder)
    assert len(first) == 1_000_001
    assert not first.endswith(b"\n")
    check(job, folder)
    job.check_ledger()
