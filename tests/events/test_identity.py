"""The id of a payload: equal for the same event, different for all others."""

from dovebeam.transforms.events.reject import payload_key

EVENT = ("exporter", "metric", "events.json", 17, b'{"event":"a"}')


def test_the_same_event_has_the_same_key() -> None:
    """A key is a function of exporter, metric, origin and content, pinned so that it survives releases."""
    assert payload_key(*EVENT) == payload_key(*EVENT)
    assert payload_key(*EVENT) == "ada948948912a6b490c0c42f7db00d05e8face760087528c2abecfc229eced29"


def test_every_part_counts() -> None:
    """Changing any part changes the key, and no part can be taken for its neighbour."""
    others = [
        ("x", *EVENT[1:]),
        ("exporter", "x", *EVENT[2:]),
        ("exporter", "metric", "x", 17, EVENT[4]),
        ("exporter", "metric", "events.json", None, EVENT[4]),
        ("exporter", "metric", "events.json", 0, EVENT[4]),
        ("exporter", "metric", "events.json", 17, b"x"),
        ("exportermetric", "", *EVENT[2:]),
        ("exporter", "metric", "events.json1", 7, EVENT[4]),
    ]
    assert len({payload_key(*each) for each in [EVENT, *others]}) == len(others) + 1
