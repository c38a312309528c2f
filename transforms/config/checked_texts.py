"""What is wrong with a filter or the name of a format, as Dovecot says it and as it should have been said.

Rules from Dovecot's configuration language, sections "After parsing" and "When the stats process starts".
"""

from __future__ import annotations

from dovebeam.transforms.config.disclosure import MASK
from dovebeam.transforms.config.hints import did_you_mean, near_miss
from dovebeam.transforms.config.known_names import Later
from dovebeam.transforms.config.places import Place, Report, Stage
from dovebeam.transforms.config.written_values import Value
from dovebeam.transforms.config.wrong_values import meant_instead
from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.formats import FORMAT_NAMES

__all__ = ["filter_problem", "format_problem"]

_MAX_SHOWN_CHARS = 200


def filter_problem(
    report: Report, value: Value, text: str, metric: str, *, before: str, public: bool, stage: Stage = Stage.CHECK
) -> None:
    """Report what is wrong with a filter, if anything.

    Args:
        report: gets the problem.
        value: the filter's assignment, for places.
        text: the filter with everything expanded.
        metric: the name of the metric.
        before: what Dovecot prints before its message.
        public: whether the expanded text is known to hold no secret.
        stage: when Dovecot looks at it.
    """
    if not text:
        message = f"metric {metric} {{ filter }} is empty - will not match anything"
        ours = (
            f"metric {metric}: the filter is empty and matches nothing; write for example: event=imap_command_finished"
        )
        report.error(value.place, ours, dovecot=before + message, stage=stage)
        return
    same = text == value.text
    try:
        parsed = parse_filter(text)
    except FilterSyntaxError as error:
        place = value.place_at(error.offset) if same else value.place
        reason = error.message.removeprefix("event filter: ")
        shown = "" if same else f" in: {text[:_MAX_SHOWN_CHARS]}"
        if not public:
            shown = "" if same else ", after its variables are replaced"
        hint = (meant_instead("filter", text) or error.hint) if public else ""
        message = f"metric {metric}: filter: {reason}{shown}"
        report.error(place, message, dovecot=before + error.message, suggestion=hint, stage=stage)
        return
    if parsed.unterminated is not None:
        place = value.place_at(parsed.unterminated) if same else value.place
        message = f"metric {metric}: filter: this quote is never closed; Dovecot ignores it and all that follows"
        report.warning(place, message)


def format_problem(
    report: Report,
    place: Place,
    text: str,
    *,
    before: str,
    public: bool,
    later: Later,
    stage: Stage = Stage.CHECK,
) -> None:
    """Report a format that is missing or doesn't exist.

    `later` tells those of a later Dovecot; the other arguments are as in `filter_problem`.
    """
    known = ", ".join(FORMAT_NAMES)
    if not text:
        message = f"the exporter has no format; add to its block: format = json (or another of {known})"
        report.error(place, message, dovecot=f"{before}Exporter format name can't be empty", stage=stage)
    elif text not in FORMAT_NAMES and public and (reason := later.about(text, FORMAT_NAMES)):
        report.later(
            place, f"format: '{text}' {reason}", dovecot=f"{before}Unknown exporter format '{text}'", stage=stage
        )
    elif text not in FORMAT_NAMES:
        shown = text if public else MASK
        message = f"unknown format '{shown}'; there are {known}"
        suggestion = meant_instead("format", text) if public else ""
        suggestion = suggestion or did_you_mean(near_miss(text, FORMAT_NAMES))
        dovecot = f"{before}Unknown exporter format '{shown}'"
        report.error(place, message, dovecot=dovecot, suggestion=suggestion, stage=stage)
