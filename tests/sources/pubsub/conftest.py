"""A server for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.servers.pubsub_server import PubSubServer, pubsub_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSubServer]:
    """Google's server, to which this process's clients are led."""
    with pubsub_server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started
