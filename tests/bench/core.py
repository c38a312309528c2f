"""Events per second on one core for decode, match, format and all three, beside a plain loop over the same lines.

    python tests/bench/core.py [--rounds N] [--json FILE]

Both sides go through the whole corpus in blocks of 64 KiB, in turn within each round, so that a noisy machine slows
both. The plain loop is what one would write by hand with msgspec: a Struct, a lambda, an encoder; it does not notice
repeated keys, knows no addresses or timestamps, and its filter is exact text. All three steps are measured twice: with
every line decoded whole, and as an export does it, which decodes only what matches whole; the target is for the latter.
Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))
from dovebeam.transforms.codecs import decode_json_block
from dovebeam.transforms.config import load_config
from dovebeam.transforms.filters import Dispatcher, parse_filter
from dovebeam.transforms.formats import make_formatter
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan
from dovebeam.transforms.sources import Block
from support.oracle.corpus import corpus_lines

FILTER = "event=imap_command_finished AND tagged_reply_state=OK AND duration>1000"
BLOCK_BYTES = 64 * 1024


class PlainEvent(msgspec.Struct):
    """The event of the hand-written loop."""

    event: str
    hostname: str
    start_time: str
    end_time: str
    categories: list[str]
    fields: dict[str, str | int | list[str]]


def plain_match(event: PlainEvent) -> bool:
    """FILTER by hand."""
    fields = event.fields
    return (
        event.event == "imap_command_finished"
        and fields.get("tagged_reply_state") == "OK"
        and event.fields["duration"] > 1000
    )


def blocks_of(lines: tuple[bytes, ...]) -> list[bytes]:
    """The lines joined to blocks of about BLOCK_BYTES."""
    blocks, current, size = [], [], 0
    for line in lines:
        current.append(line)
        size += len(line) + 1
        if size >= BLOCK_BYTES:
            blocks.append(b"\n".join(current))
            current, size = [], 0
    return [*blocks, b"\n".join(current)] if current else blocks


class Case(NamedTuple):
    """A step done dovebeam's way and by hand; both go through `events` events and return how many came out."""

    name: str
    events: int
    ours: Callable[[], int]
    plain: Callable[[], int]


def export_plan() -> ExportPlan:
    """The plan of a configuration with one metric, FILTER."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write("dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n")
        config.write("event_exporter out {\n  driver = drop\n  format = json\n}\n")
        config.write(f"metric m {{\n  filter = {FILTER}\n  exporter = out\n}}\n")
        config.flush()
        return make_plan(load_config([config.name]))


def cases(lines: tuple[bytes, ...]) -> list[Case]:
    """The steps of an export, alone and together."""
    blocks = blocks_of(lines)
    decode_plain, encode_plain = msgspec.json.Decoder(PlainEvent).decode, msgspec.json.Encoder().encode
    matches, write = parse_filter(FILTER).matches, make_formatter("json").format

    plan = export_plan()
    read_blocks = [Block("corpus", 0, block, "json") for block in blocks]

    def all_ours() -> int:
        return sum(len([write(e) for e in decode_json_block(block).events if matches(e)]) for block in blocks)

    def export() -> int:
        outcomes = (plan.export_block(block) for block in read_blocks)
        return sum(len(batch) for outcome in outcomes for batch in outcome.batches.values())

    def all_plain() -> int:
        return sum(
            len([encode_plain(e) for line in block.split(b"\n") if plain_match(e := decode_plain(line))])
            for block in blocks
        )

    # Matching and formatting alone go through few events many times, so that they, and not memory, are measured.
    few = blocks[len(blocks) // 2 :][:8]
    events = [list(decode_json_block(block).events) for block in few]
    plain_events = [[decode_plain(line) for line in block.split(b"\n")] for block in few]
    times = len(blocks) // len(few)
    count = times * sum(map(len, events))

    return [
        Case(
            "decode",
            len(lines),
            lambda: sum(len(decode_json_block(block).events) for block in blocks),
            lambda: sum(len([decode_plain(line) for line in block.split(b"\n")]) for block in blocks),
        ),
        Case(
            "match",
            count,
            lambda: sum(len([e for e in batch if matches(e)]) for _ in range(times) for batch in events),
            lambda: sum(len([e for e in batch if plain_match(e)]) for _ in range(times) for batch in plain_events),
        ),
        Case(
            "format",
            count,
            lambda: sum(len([write(e) for e in batch]) for _ in range(times) for batch in events),
            lambda: sum(len([encode_plain(e) for e in batch]) for _ in range(times) for batch in plain_events),
        ),
        Case("all three, every line whole", len(lines), all_ours, all_plain),
        Case("all three, as an export does", len(lines), export, all_plain),
    ]


def dispatch_cases(blocks: list[bytes]) -> tuple[Callable[[], int], Callable[[], int], int]:
    """Matching with 200 metrics and with 5, each `event=NAME AND ...`, on the names of the corpus and others."""
    events = [e for block in blocks[:8] for e in decode_json_block(block).events]
    names = sorted({e.name or "" for e in events})
    others = [f"other_event_{n}" for n in range(200)]

    def run(count: int) -> Callable[[], int]:
        texts = [f"event={name} AND duration>1000" for name in [*names, *others][:count]]
        matching = Dispatcher([parse_filter(text) for text in texts]).matching
        return lambda: sum(len(matching(e)) for e in events)

    return run(200), run(5), len(events)


def seconds(function: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """The figures of every case: medians over the rounds, ratios of the two sides of one round."""
    lines = corpus_lines("events.json.gz")
    figures: dict[str, dict[str, float]] = {}
    for case in cases(lines):
        rates, ratios = [], []
        for _ in range(rounds):
            ours_sec, count = seconds(case.ours)
            plain_sec, plain_count = seconds(case.plain)
            if count != plain_count:
                sys.exit(f"{case.name}: {count} events, but the plain loop has {plain_count}")
            rates.append(case.events / ours_sec)
            ratios.append(plain_sec / ours_sec)
        figures[case.name] = {
            "events_per_sec": statistics.median(rates),
            "ratio_to_plain_loop": statistics.median(ratios),
        }
    many, few, count = dispatch_cases(blocks_of(lines))
    pairs = [(seconds(many)[0], seconds(few)[0]) for _ in range(rounds * 3)]
    figures["match against 200 metrics"] = {
        "events_per_sec": count / statistics.median(m for m, _ in pairs),
        "cost_of_5_metrics": statistics.median(m / f for m, f in pairs),
    }
    return figures


def main() -> int:
    """Prints the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    print(f"{'step':28} {'events/s':>12} {'plain loop = 1':>15}")
    for name, row in figures.items():
        last = f"{row['ratio_to_plain_loop']:15.2f}" if "ratio_to_plain_loop" in row else ""
        last = last or f"{row['cost_of_5_metrics']:8.2f} times the cost of 5"
        print(f"{name:28} {row['events_per_sec']:12,.0f} {last}")
    all_three = figures["all three, as an export does"]
    targets = {
        "all three at least 0.8 of the plain loop": all_three["ratio_to_plain_loop"] >= 0.8,
        "matching at least 1,500,000 events/s": figures["match"]["events_per_sec"] >= 1_500_000,
        "200 metrics cost at most 5 times 5 metrics": figures["match against 200 metrics"]["cost_of_5_metrics"] <= 5,
    }
    for text, reached in targets.items():
        print(f"{'reached' if reached else 'MISSED '}  {text}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"figures": figures, "targets": targets}, indent=2) + "\n")
    print(json.dumps(figures))
    return 0 if all(targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
