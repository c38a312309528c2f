"""Dovecot's event filter language: `parse_filter(text).matches(event)`."""

from dovebeam.transforms.filters.analysis import Contradiction, NeverTrue, Verdict
from dovebeam.transforms.filters.explain import ComparisonCount, Explanation, Finding, Profile, explain, value_text
from dovebeam.transforms.filters.filter import Dispatcher, Filter, accepts_unnamed, parse_filter
from dovebeam.transforms.filters.nodes import And, Comparison, Node, Not, Or
from dovebeam.transforms.filters.reasons import FilterWarning
from dovebeam.transforms.filters.values import escape_value
from dovebeam.transforms.filters.wildcards import unescape

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
