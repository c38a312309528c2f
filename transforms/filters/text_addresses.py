"""Networks that meet an address which Dovecot stores as text, and so never match: what to tell people about it.

Dovecot's generic connection code stores addresses as text (`Catalogue.field_type`), and a network (`10.0.0.0/8`) is
compared only with values that are addresses. Dovecot gives no warning: the comparison is just false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.nodes import SPECIAL_KEYS, Comparison
from dovebeam.transforms.filters.values import classify
from dovebeam.transforms.values.addresses import IPAddress, canonical_ip

__all__ = ["AddressKind", "address_kind", "address_note"]

AddressKind = Literal["address", "text", "guessed address", "guessed text"]

_GUESS: Final = "is a guess here, since the event has no categories (export them to be sure)"


def address_kind(comparison: Comparison) -> Callable[[Event], AddressKind | None] | None:
    """The function that says what kind of value of an event a network is compared with.

    It returns None for an event without an address there. It is None itself for a comparison without a network.
    """
    key = comparison.key
    network = None if key in SPECIAL_KEYS else classify(comparison.value).network
    if network is None or network.length == network.bits or comparison.operator != "=":
        return None

    def kind(event: Event) -> AddressKind | None:
        value = event.get(key)
        is_text = isinstance(value, str) and canonical_ip(value)
        if not is_text and not isinstance(value, IPAddress):
            return None
        if CATALOGUE.is_guess(key, event.name, event.exported_categories):
            return "guessed text" if is_text else "guessed address"
        return "text" if is_text else "address"

    return kind


def address_note(comparison: Comparison, kind: AddressKind | None) -> str:
    """What a person should know about a comparison of a network with a value of this kind; empty if nothing."""
    key = comparison.key
    pattern = _pattern(comparison)
    advice = f" ({pattern} matches both)" if pattern else ""
    notes: dict[AddressKind | None, str] = {
        "text": f"{key} is text in this event, a network never matches it{advice}",
        "guessed text": f"the type of {key} {_GUESS}: taken for text, which a network never matches{advice}",
        "guessed address": f"the type of {key} {_GUESS}: taken for an address; where it is text, no network matches it",
    }
    return notes.get(kind, "")


def _pattern(comparison: Comparison) -> str:
    """The comparison with a pattern that matches the network's addresses, as text, too; empty if there is none."""
    network = classify(comparison.value).network
    if network is None or network.bits != 32 or network.length not in (8, 16, 24):
        return ""
    parts = network.text.partition("/")[0].split(".")[: network.length // 8]
    return f"{comparison.key}={'.'.join(parts)}.*"
