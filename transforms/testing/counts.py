"""What a pipeline counted: dovebeam's counters, and the equations that hold if nothing was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dovebeam.transforms.counters import NAMESPACE

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineResult

__all__ = ["assert_balanced", "counters_of"]


def counters_of(result: PipelineResult) -> dict[str, int]:
    """The counters of dovebeam by name, added up over the steps that have them.

    Args:
        result: of `pipeline.run()`, waited for; of a `with beam.Pipeline() as p` it is `p.result`.
    """
    counters: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == NAMESPACE:
            name = counter.key.metric.name
            counters[name] = counters.get(name, 0) + counter.result
    return counters


def assert_balanced(counters: Mapping[str, int]) -> None:
    """Passes if every event of an `ExportEvents` is accounted for: read, and what became of it; formatted, and so on.

    Args:
        counters: from `counters_of`.

    Raises:
        AssertionError: naming the equations that do not hold.
    """
    wrong = [text for text in _equations(counters) if text]
    if wrong:
        raise AssertionError("\n".join(wrong))


def _equations(counters: Mapping[str, int]) -> Iterable[str]:
    parts = ("matched", "unmatched", "out_of_range", "undecodable")
    yield _compared("read", counters, parts)
    exporters = {name.partition("/")[2] for name in counters if name.startswith("formatted/")}
    for exporter in sorted(exporters):
        yield _compared(f"formatted/{exporter}", counters, (f"delivered/{exporter}", f"rejected/{exporter}"))


def _compared(name: str, counters: Mapping[str, int], parts: Iterable[str]) -> str:
    whole, counts = counters.get(name, 0), {part: counters.get(part, 0) for part in parts}
    if whole == sum(counts.values()):
        return ""
    return f"{name} is {whole}, but " + " + ".join(f"{part} {count}" for part, count in counts.items())
