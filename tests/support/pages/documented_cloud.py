"""Checks of commands that take Google's cloud or Docker: their flags, and the files, parameters and names in them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from support.jobs.flex_templates import ROOT, TEMPLATES, parameters_of

__all__ = ["understand_docker", "understand_gcloud", "understand_terraform", "understand_wheel", "workflow_arguments"]

_JOB: Final = (
    "disable-public-ips max-workers parameters region service-account-email staging-location subnetwork temp-location"
)
_GCLOUD: Final[Mapping[str, str]] = {
    "builds submit": "config region substitutions",
    "dataflow flex-template build": "image metadata-file sdk-language",
    "dataflow flex-template run": f"additional-experiments template-file-gcs-location {_JOB}",
    "dataflow jobs drain": "region",
    "monitoring dashboards create": "config-from-file",
    "monitoring policies create": "policy-from-file",
    "scheduler jobs create http": "http-method location message-body oauth-service-account-email schedule time-zone uri",
    "storage cp": "",
    "workflows deploy": "location service-account source",
}
"""Commands of Google's reference that the pages use, and those of their flags that these need."""
_FILES: Final = {"config", "metadata-file", "config-from-file", "policy-from-file", "source"}


def understand_gcloud(text: str) -> None:
    """Fails unless a gcloud command has flags that it knows, files of this tree, and parameters of its template."""
    words = _words(text)
    assert words[0] == "gcloud", text
    command = next((known for known in _GCLOUD if words[1 : len(known.split()) + 1] == known.split()), None)
    assert command, f"no known command: {text}"
    rest = words[len(command.split()) + 1 :]
    flags = _flags(rest)
    assert set(flags) <= set(_GCLOUD[command].split()), f"{command}: {set(flags)}"
    for path in [flags[name] for name in _FILES & set(flags)]:
        if "$" not in path:
            assert (ROOT / path).is_file(), path
    if command == "dataflow flex-template run":
        _check_launch(flags)
    elif command == "dataflow flex-template build":
        _check_specification(rest[0], flags)
    elif command == "builds submit":
        known = yaml.safe_load((ROOT / flags["config"]).read_text())["substitutions"]
        assert {each.split("=")[0] for each in flags["substitutions"].split(",")} <= set(known)
    elif command.startswith("scheduler"):
        assert set(json.loads(json.loads(flags["message-body"])["argument"])) == workflow_arguments()


def understand_terraform(text: str) -> None:
    """Fails unless a terraform command is run in the folder of the example, with variables that it declares."""
    words = _words(text)
    assert words[:2] == ["terraform", "-chdir=templates/terraform"], text
    assert words[2] in {"init", "plan", "apply"}
    declared = set(re.findall(r'(?m)^variable "(\w+)"', (TEMPLATES / "terraform" / "variables.tf").read_text()))
    required = set(re.findall(r'variable "(\w+)" \{(?:(?!\n\}|default).)*\n\}', (TEMPLATES / "terraform" / "variables.tf").read_text(), re.DOTALL))  # fmt: skip
    given = {words[i + 1].split("=")[0] for i, word in enumerate(words) if word == "-var"}
    assert given <= declared
    assert words[2] == "init" or required <= given, required


def understand_docker(text: str) -> None:
    """Fails unless an image is built with the project's Dockerfile and the arguments that it needs."""
    words = _words(text)
    assert words[:2] == ["docker", "build"], text
    assert words[-1] == ".", text
    assert words[words.index("--file") + 1] == "templates/Dockerfile"
    given = {words[i + 1].split("=")[0] for i, word in enumerate(words) if word == "--build-arg"}
    assert given == set(re.findall(r"(?m)^ARG (\w+)$", (TEMPLATES / "Dockerfile").read_text()))


def understand_wheel(text: str) -> None:
    """Fails unless the wheel is made as Cloud Build makes it."""
    steps = yaml.safe_load((TEMPLATES / "cloudbuild.yaml").read_text())["steps"]
    (made,) = [[each["entrypoint"], *each["args"]] for each in steps if each["id"] == "wheel"]
    assert _words(text) == made, text


def workflow_arguments() -> set[str]:
    """What the workflow of scheduled replays is told when it is started."""
    return set(re.findall(r"\barguments\.(\w+)", (TEMPLATES / "schedules" / "replay_workflow.yaml").read_text()))


def _words(text: str) -> list[str]:
    return shlex.split(text.replace("\\\n", " "), comments=True)


def _flags(words: list[str]) -> dict[str, str]:
    return {name[2:]: value for name, _, value in (word.partition("=") for word in words) if name.startswith("--")}


def _check_launch(flags: Mapping[str, str]) -> None:
    name = Path(flags["template-file-gcs-location"]).stem.rpartition("-")[0]
    offered = parameters_of(name)
    given = dict(each.split("=", 1) for each in flags["parameters"].split(","))
    assert {key for key, each in offered.items() if not each["isOptional"]} <= set(given) <= set(offered), name
    for key, value in given.items():
        for regex in offered[key].get("regexes", []):
            assert re.fullmatch(regex, value), f"{key}={value}"


def _check_specification(location: str, flags: Mapping[str, str]) -> None:
    name = Path(flags["metadata-file"]).stem
    assert Path(location).name.startswith(f"{name}-"), location
    assert f"/{name}:" in flags["image"]
    assert flags["sdk-language"] == "PYTHON"
