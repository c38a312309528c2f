"""Dovecot's event filter language: `parse_filter(text).matches(event)`."""

from dovebeam.transforms.filters.dispatcher import Dispatcher, accepts_unnamed
from dovebeam.transforms.filters.explain import Explanation, Finding, explain, value_text
from dovebeam.transforms.filters.filter import Filter, parse_filter
from dovebeam.transforms.filters.mismatches import FilterWarning
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, Or
from dovebeam.transforms.filters.profile import ComparisonCount, Profile
from dovebeam.transforms.filters.text import unescape
from dovebeam.transforms.filters.values import escape_value
from dovebeam.transforms.filters.verdicts import Contradiction, NeverTrue, Verdict

__all__ = [
    "And",
    "Comparison",
    "ComparisonCount",
    "Contradiction",
    "Dispatcher",
    "Explanation",
    "Filter",
    "FilterWarning",
    "Finding",
    "NeverTrue",
    "Node",
    "Not",
    "Or",
    "Profile",
    "Verdict",
    "accepts_unnamed",
    "escape_value",
    "explain",
    "parse_filter",
    "unescape",
    "value_text",
]
