"""Settings of all tests."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support import passed, spread

# How long an example takes is a matter of the machine; what is fast enough is the benchmarks' business.
settings.register_profile("dovebeam", deadline=None)
settings.register_profile("few", deadline=None, max_examples=10)
settings.load_profile("dovebeam")

# Background jobs of a shell, and what nohup starts, ignore some signals, and so would all that tests start and interrupt.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGTERM, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of this project."""
    passed.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the plugin of those options."""
    config.pluginmanager.register(passed.PassedTests(config))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Does not read files of which no test is wanted."""
    return spread.is_left_out(collection_path, config.option.markexpr) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow tests, and lets them begin."""
    for item in items:
        if spread.is_slow(item.nodeid):
            item.add_marker("slow")
    spread.slow_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Spreads files over the workers, and slow ones test by test."""
    from xdist.scheduler import LoadScopeScheduling

    class Spread(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return spread.work_unit(nodeid)

    config.option.loadscopereorder = False
    return Spread(config, log)
