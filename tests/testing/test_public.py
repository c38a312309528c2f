"""The list of helpers for users' own tests."""

from dovebeam.transforms import testing as package


def test_the_list_is_sorted_and_documented() -> None:
    """Every helper says what it is."""
    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__doc__
