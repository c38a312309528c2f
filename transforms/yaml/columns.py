"""What is known of a collection's columns when a pipeline is built, and the mistakes that can be told then."""

from typing import Any

import apache_beam as beam
from apache_beam.typehints.schemas import named_fields_from_element_type

from dovebeam.transforms.rows import EventRow

__all__ = ["check_events", "columns_of", "one_column", "only_input"]


def only_input(name: str, given: Any) -> Any:
    """The input of a transform, which is one collection.

    Raises:
        ValueError: there are several, or none.
    """
    if not isinstance(given, beam.PCollection):
        raise ValueError(f"{name} takes one input: write input: NAME, of a transform with rows")
    return given


def columns_of(rows: Any) -> dict[str, Any] | None:
    """The types of the columns by name; None if the collection has no schema."""
    try:
        return dict(named_fields_from_element_type(rows.element_type))
    except (TypeError, ValueError):
        return None


def check_events(name: str, rows: Any) -> None:
    """Refuses rows that have nothing of an event.

    Raises:
        ValueError: saying what they have.
    """
    columns = columns_of(rows)
    if columns is not None and not set(columns) & set(EventRow._fields):
        wanted, found = ", ".join(EventRow._fields), ", ".join(columns)
        raise ValueError(
            f"{name} takes rows of events, with columns like {wanted}; its input has only: {found}. "
            "DovecotEvents makes such rows"
        )


def one_column(name: str, rows: Any, column: str | None) -> str:
    """The column that a transform shall look at: the one it was told, or the only one.

    Raises:
        ValueError: there is no such column, or there are several to choose from.
    """
    columns = columns_of(rows)
    if columns is None and column is not None:
        return column
    found = ", ".join(columns or ()) or "no schema"
    if column is None:
        if columns is not None and len(columns) == 1:
            return next(iter(columns))
        raise ValueError(f"{name} needs field: NAME, the column to read; its input has: {found}")
    if column not in (columns or ()):
        raise ValueError(f"{name}: there is no column {column!r}; its input has: {found}")
    return column
