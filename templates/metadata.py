"""Writes export.json, replay.json and stream.json: the metadata of the Flex Templates, for Dataflow and its console.

    make templates

Names and texts of parameters are in `parameters.py`. Whether a parameter is optional, its default and its choices come
from the command itself, so that a form never offers what a job would refuse.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from parameters import TEMPLATES, Parameter, Template

from dovebeam.pipelines.export.options import add_arguments, parse_export
from dovebeam.pipelines.options.spellings import spellings_of
from dovebeam.pipelines.replay.options import add_replay_arguments, parse_replay
from dovebeam.pipelines.stream.options import add_stream_arguments, parse_stream
from dovebeam.pipelines.terminal.exit_codes import UsageError

__all__ = ["metadata", "option_of", "parser_of"]

_COMMANDS: Final = {
    "export": (add_arguments, parse_export),
    "replay": (add_replay_arguments, parse_replay),
    "stream": (add_stream_arguments, parse_stream),
}
_DEFAULTS: Final = {"max_line_bytes": "16M"}
"""Defaults as a user writes them, where the parsed value looks different."""


def metadata(command: str) -> dict[str, Any]:
    """Metadata of a template in the form of Dataflow's API."""
    template = TEMPLATES[command]
    made: dict[str, Any] = {
        "name": template.title,
        "description": template.description,
        "parameters": [_parameter(command, template, each) for each in template.parameters],
    }
    # In either mode a target may get an event twice after a failure, so a user may choose the cheaper one.
    if template.streaming:
        made |= {
            "streaming": True,
            "supportsAtLeastOnce": True,
            "supportsExactlyOnce": True,
            "defaultStreamingMode": "EXACTLY_ONCE",
        }
    return made


def parser_of(command: str) -> argparse.ArgumentParser:
    """Parser of a command."""
    # As the commands have it: an abbreviation would be another spelling of a parameter.
    parser = argparse.ArgumentParser(allow_abbrev=False)
    _COMMANDS[command][0](parser)
    return parser


def option_of(command: str, name: str) -> argparse.Action:
    """Option of a command that a parameter sets.

    Raises:
        KeyError: the command has no such option.
    """
    # argparse has no public list of its options.
    options = {option: action for action in parser_of(command)._actions for option in action.option_strings}
    spelt = f"--{name}"
    return options[spellings_of(options).get(spelt, spelt)]


def _parameter(command: str, template: Template, parameter: Parameter) -> dict[str, Any]:
    option = option_of(command, parameter.name)
    made: dict[str, Any] = {
        "name": parameter.name,
        "label": parameter.label,
        "helpText": f"{parameter.help} Example: {parameter.example}",
        "paramType": parameter.kind,
        "groupName": parameter.group,
        "isOptional": not parameter.required and _may_be_left_out(command, template, parameter),
    }
    if parameter.regex:
        made["regexes"] = [parameter.regex]
    if option.default not in (None, "", []):
        made["defaultValue"] = _DEFAULTS.get(option.dest, str(option.default))
    if option.choices is not None:
        made["enumOptions"] = [{"value": v, "label": text} for v, text in parameter.labels if v in option.choices]
    name, value = parameter.parent
    if name:
        made |= {"parentName": name, "parentTriggerValues": [value]}
    return made


def _may_be_left_out(command: str, template: Template, parameter: Parameter) -> bool:
    """Whether a parameter is optional: some command line without it is complete."""
    # One more is left out, too, since two parameters may exclude each other, as a subscription and a topic do.
    rest = [each for each in template.parameters if each is not parameter]
    return any(_is_complete(command, [each for each in rest if each is not one]) for one in rest)


def _is_complete(command: str, parameters: list[Parameter]) -> bool:
    try:
        _COMMANDS[command][1](parser_of(command), [f"--{each.name}={each.example}" for each in parameters])
    except UsageError:
        return False
    return True


if __name__ == "__main__":
    for name in TEMPLATES:
        text = json.dumps(metadata(name), indent=2, ensure_ascii=False) + "\n"
        Path(__file__).with_name(f"{name}.json").write_text(text, "utf-8")
