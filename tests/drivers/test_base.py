"""What the base classes promise on their own."""

from __future__ import annotations

import pickle

from dovebeam.transforms.drivers import Failure, FileDriver
from dovebeam.transforms.errors import DeliveryError, DriverSettingError


def test_failure_travels() -> None:
    """A failure pickles and is a value."""
    failure = Failure(3, "the target answered 500 Internal Server Error", 2, 500, "http://host:80")
    assert pickle.loads(pickle.dumps(failure)) == failure


def test_errors_travel_and_name_their_exporter() -> None:
    """Both errors pickle whole; their texts begin with the exporter's name when it is known."""
    cases = [
        (DeliveryError("open(/x) failed", "/x", "ex"), "event_exporter ex: open(/x) failed"),
        (DeliveryError("open(/x) failed", "/x"), "open(/x) failed"),
        (DriverSettingError("http_client_proxy_url", "wrong", "ex"), "event_exporter ex: http_client_proxy_url: wrong"),
        (DriverSettingError("http_client_proxy_url", "wrong"), "http_client_proxy_url: wrong"),
    ]
    for error, text in cases:
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), text, vars(error))


def test_display_items_leave_out_what_is_not_set() -> None:
    """Display items are the driver's name, the endpoint and the settings that have a value."""
    items = FileDriver("/x").display_items()
    assert {"driver": "file", "endpoint": "/x", "file_path": "/x", "file_rotate_size": 0}.items() <= items.items()
    assert "file_path_template" not in items
