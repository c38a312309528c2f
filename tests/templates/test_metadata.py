"""The metadata of the Flex Templates, against the options of the commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dovebeam.pipelines.template import COMMANDS
from dovebeam.pipelines.terminal.exit_codes import UsageError
from support.jobs.flex_templates import NAMES, committed, example_of, generator, parameters_of
from support.programs import HANG_SECS

PARAMETERS = [(template, name) for template in NAMES for name in parameters_of(template)]
_SECRETS = re.compile(r"token|password|secret|credential|auth|key", re.IGNORECASE)


def parse(template: str, values: dict[str, str]) -> Any:
    """The options of the command that a template is, with these parameters."""
    read = generator()._COMMANDS[template][1]
    return read(generator().parser_of(template), [f"--{name}={value}" for name, value in values.items()])


def examples(template: str, *without: str) -> dict[str, str]:
    """All parameters of a template with their examples."""
    return {name: example_of(each) for name, each in parameters_of(template).items() if name not in without}


@pytest.mark.parametrize("template", NAMES)
def test_current(template: str) -> None:
    """The committed file is what `make templates` writes."""
    assert committed(template) == generator().metadata(template), "run: make templates"


def test_commands() -> None:
    """Every command that launches as a template has one."""
    assert sorted(COMMANDS) == NAMES


@pytest.mark.parametrize(("template", "name"), PARAMETERS)
def test_parameter(template: str, name: str) -> None:
    """It is an option of the command, and its regex takes its own example and default; so does the command."""
    parameter = parameters_of(template)[name]
    option = generator().option_of(template, name)
    example = example_of(parameter)
    assert example
    for value in filter(None, (example, parameter.get("defaultValue"))):
        for regex in parameter.get("regexes", []):
            assert re.fullmatch(regex, value), value
        if parameter["paramType"] == "ENUM":
            assert value in option.choices
            assert value in [each["value"] for each in parameter["enumOptions"]]
    if "defaultValue" in parameter:
        read = option.type or str
        assert read(parameter["defaultValue"]) == option.default


@pytest.mark.parametrize(("template", "name"), PARAMETERS)
def test_regex_refuses_what_the_command_would_refuse(template: str, name: str) -> None:
    """A form that is wrong is found in the form: no value with a line's end, none that is empty."""
    for regex in parameters_of(template)[name].get("regexes", []):
        compiled = re.compile(regex)
        assert not any(compiled.fullmatch(value) for value in ("", "\n", "a\nb", " ", "\0"))


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("startTime", ["2026-11-25T08:00:00Z", "2026-11-25T08:00+01:00", "1795335547.5"], ["2026-11-25", "yesterday", "2026-11-25T08:00:00"]),
        ("maxLineBytes", ["1", "512K", "16m"], ["0", "16MB", "-1"]),
        ("runId", ["monday", "2026-11-25"], ["a/b", ".", "-x"]),
    ],
)  # fmt: skip
def test_regex_and_command_agree(name: str, right: list[str], wrong: list[str]) -> None:
    """What the form takes, the command takes; what it refuses, the command refuses, too."""
    (regex,) = parameters_of("export")[name]["regexes"]
    option = generator().option_of("export", name)
    rest = examples("export", "startTime", "endTime", name)
    for value in right:
        assert re.fullmatch(regex, value)
        assert parse("export", {**rest, name: value})
    for value in wrong:
        assert not re.fullmatch(regex, value)
        with pytest.raises((UsageError, SystemExit)):
            parse("export", {**rest, f"{option.dest}": value})


@pytest.mark.parametrize(("template", "name"), PARAMETERS)
def test_required(template: str, name: str) -> None:
    """What may not be left out is refused if it is; everything else may be, as long as there is one source."""
    parameter = parameters_of(template)[name]
    rest = examples(template, name, *(["inputTopic"] if name != "inputSubscription" else []))
    if parameter["isOptional"] or name == "invalidOutputPath":  # which only a job elsewhere must have
        assert parse(template, rest)
    else:
        with pytest.raises(UsageError, match="is missing"):
            parse(template, rest)


NOT_OFFERED = {
    "help": "is for people",
    "debug": "is a flag, which takes no value, and Dataflow gives every parameter one",
    "dry_run": "likewise; and its answer is on the screen of whoever waits",
    "strict": "likewise; `dovebeam check --strict` says it before the launch",
    "wait": "likewise; a launcher never waits",
    "ledger": "needs somebody who waits; the counters are with Dataflow",
    "only_failed": "reads such a ledger",
    "preview": "writes to the machine of the launcher, which is gone a minute later",
    "follow": "reads files of one machine",
    "state": "likewise",
    "max_queue_bytes": "limits files there",
}
OF_OTHERS = {("replay", "max_attempts"): "belongs to rejects", ("stream", "input_format"): "each message tells its own"}


@pytest.mark.parametrize("template", NAMES)
def test_every_option_is_offered(template: str) -> None:
    """Or there is a reason why not."""
    options = {option.dest for option in generator().parser_of(template)._actions}
    offered = {generator().option_of(template, name).dest for name in parameters_of(template)}
    assert options - offered - set(NOT_OFFERED) == {name for command, name in OF_OTHERS if command == template}
    assert not offered & set(NOT_OFFERED)


@pytest.mark.parametrize("template", NAMES)
def test_no_parameter_takes_a_secret(template: str) -> None:
    """Parameters are shown to everybody who may see the job; credentials are references in the configuration."""
    assert not [name for name in parameters_of(template) if _SECRETS.search(name)]


@pytest.mark.parametrize("template", NAMES)
def test_parents(template: str) -> None:
    """A parameter that depends on another is behind it, and on a value that it has."""
    before: dict[str, dict[str, Any]] = {}
    for name, parameter in parameters_of(template).items():
        if "parentName" in parameter:
            parent = before[parameter["parentName"]]
            assert set(parameter["parentTriggerValues"]) <= {each["value"] for each in parent["enumOptions"]}
        before[name] = parameter


def test_google_knows_every_member(locked: Path) -> None:
    """The files are what Google's own messages for metadata are made of, parameter types and all."""
    code = (
        "import sys\n"
        "from google.cloud.dataflow_v1beta3.types.templates import TemplateMetadata\n"
        "for path in sys.argv[1:]:\n"
        "    print(len(TemplateMetadata.from_json(open(path).read(), ignore_unknown_fields=False).parameters))\n"
    )
    files = [Path(generator().__file__).with_name(f"{name}.json") for name in NAMES]
    ran = subprocess.run([locked, "-c", code, *files], check=False, capture_output=True, text=True, timeout=HANG_SECS)
    assert ran.stdout.split() == [str(len(parameters_of(name))) for name in NAMES], ran.stderr
