"""The Terraform example and the workflow of its schedule: against themselves, and against the templates' metadata.

Nothing is applied, since that takes Google's cloud; nor validated, since that takes Google's provider, from a registry.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import hcl2
import pytest
import yaml
from google.cloud.dataflow_v1beta3.types import LaunchFlexTemplateParameter

from support.jobs.flex_templates import NAMES, TEMPLATES, parameters_of

FILES = sorted((TEMPLATES / "terraform").glob("*.tf"))
WORKFLOW = TEMPLATES / "schedules" / "replay_workflow.yaml"
_EXPRESSION = re.compile(r"\$\{(.*)\}\Z", re.DOTALL)


@cache
def blocks() -> list[dict[str, Any]]:
    """The blocks of all files; names without their quotes."""
    return [found for path in FILES for found in _blocks(_plain(hcl2.loads(path.read_text())))]


def _blocks(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{kind: each} for kind, found in document.items() for each in found]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.strip('"'): _plain(each) for key, each in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


def named(kind: str) -> dict[str, Any]:
    """The variables, outputs and so on, by name; resources and data by type and name."""
    found = [each[kind] for each in blocks() if kind in each]
    if kind in {"resource", "data"}:
        return {f"{typ}.{name}": body for each in found for typ, of in each.items() for name, body in of.items()}
    return {name: body for each in found for name, body in each.items()}


def source() -> str:
    """All files without their comments."""
    return "\n".join(re.sub(r"(?m)^\s*#.*$", "", path.read_text()) for path in FILES)


def expressions(value: Any) -> list[str]:
    """All expressions of a workflow."""
    if isinstance(value, dict):
        return [found for each in value.values() for found in expressions(each)]
    if isinstance(value, list):
        return [found for each in value for found in expressions(each)]
    return _EXPRESSION.findall(value) if isinstance(value, str) else []


def assigned(name: str) -> dict[str, str]:
    """The members of a map that the workflow builds."""
    found: dict[str, str] = {}
    for key, value in _assignments(yaml.safe_load(WORKFLOW.read_text())):
        if key == name:
            found |= value
        elif key.startswith(f"{name}."):
            found[key.partition(".")[2]] = value
    return found


def _assignments(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, list):
        return [found for each in value for found in _assignments(each)]
    if not isinstance(value, dict):
        return []
    here = [pair for each in value.get("assign", []) for pair in each.items()]
    return here + [found for key, each in value.items() if key != "assign" for found in _assignments(each)]


def test_references() -> None:
    """Every variable, local value, resource and file that is spoken of is there, and every variable is used."""
    text = source()
    resources = named("resource")
    assert {*re.findall(r"\bvar\.(\w+)", text)} == {*named("variable")}
    assert {*re.findall(r"\blocal\.(\w+)", text)} == {name for each in blocks() for name in each.get("locals", {})}
    spoken = {*re.findall(r"(?<![\w.\"])(google_\w+\.\w+)", text)} | {*re.findall(r"\$\{(google_\w+\.\w+)", text)}
    assert {f"data.{name}" for name in named("data")} == {*re.findall(r"\bdata\.\w+\.\w+", text)}
    assert spoken - {name.removeprefix("data.") for name in named("data")} <= {*resources}
    for path in re.findall(r'file\("\$\{path\.module\}/([^"$]*)"\)', text):
        assert (TEMPLATES / "terraform" / path).is_file(), path


def test_every_alert_is_made() -> None:
    """Those that lie in the folder, and no others."""
    (names,) = re.findall(r"for name in \[(.*?)\] : name => jsondecode", source())
    assert re.findall(r'"(\w+)"', names) == sorted(
        path.stem for path in (TEMPLATES / "monitoring" / "alerts").iterdir()
    )


def test_every_template_is_put_up() -> None:
    """With the metadata of this tree, under the names that jobs read."""
    (names,) = re.findall(r"templates = toset\(\[(.*?)\]\)", source())
    assert re.findall(r'"(\w+)"', names) == NAMES
    assert 'jsondecode(file("${path.module}/../${each.key}.json"))' in source()


def test_stream() -> None:
    """The job's parameters are the template's; those that are required are given."""
    given = set(named("resource")["google_dataflow_flex_template_job.stream"]["parameters"])
    offered = parameters_of("stream")
    assert given <= set(offered)
    assert {name for name, each in offered.items() if not each["isOptional"]} <= given


def test_jobs_are_monitored() -> None:
    """The dashboard and the alerts find them by their names."""
    assert named("resource")["google_dataflow_flex_template_job.stream"]["name"] == "dovebeam-stream"
    assert named("resource")["google_pubsub_subscription.events"]["name"] == "dovecot-events"
    assert '"dovebeam-replay-" + string(start)' in " ".join(expressions(yaml.safe_load(WORKFLOW.read_text())))


def test_workflow_launches_a_replay() -> None:
    """What it sends is a launch as Google's API has it, with parameters that the template has."""
    given, offered = assigned("parameters"), parameters_of("replay")
    assert set(given) <= set(offered)
    assert {name for name, each in offered.items() if not each["isOptional"]} <= set(given)
    (launch,) = [each["launch"]["args"] for each in yaml.safe_load(WORKFLOW.read_text())["main"]["steps"] if "launch" in each]  # fmt: skip
    assert '"/flexTemplates:launch"' in launch["url"]
    message = LaunchFlexTemplateParameter.pb(LaunchFlexTemplateParameter()).DESCRIPTOR
    assert set(launch["body"]["launchParameter"]) <= {field.json_name for field in message.fields}
    environment = message.fields_by_name["environment"].message_type
    assert set(assigned("environment")) <= {field.json_name for field in environment.fields}


def test_workflow_gets_its_arguments() -> None:
    """The schedule sends all that the workflow reads, and nothing else."""
    read = {name for each in expressions(yaml.safe_load(WORKFLOW.read_text())) for name in re.findall(r"\barguments\.(\w+)", each)}  # fmt: skip
    (sent,) = re.findall(r"argument = jsonencode\(\{(.*?)\n      \}\)", source(), re.DOTALL)
    assert set(re.findall(r"(?m)^\s*(\w+)\s+=", sent)) == read


@pytest.mark.parametrize(
    ("now", "span"), [(1764144600, (1764054000, 1764140400)), (1764144000, (1764054000, 1764140400))]
)
def test_span_of_a_replay(now: int, span: tuple[int, int]) -> None:
    """At ten past eight, and at eight, the 24 hours until seven: whole hours, of which Pub/Sub holds nothing back."""
    names: dict[str, Any] = {"now": now, "arguments": type("Arguments", (), {"hours": 24, "hours_back": 1})}
    (times,) = [each["times"]["assign"] for each in yaml.safe_load(WORKFLOW.read_text())["main"]["steps"] if "times" in each]  # fmt: skip
    for step in times[1:3]:
        ((name, text),) = step.items()
        names[name] = eval(_EXPRESSION.findall(text)[0], {"__builtins__": {}}, names)
    assert (names["start"], names["end"]) == span


def test_workers_may_do_what_they_must_and_no_more() -> None:
    """No account has a role of an owner, editor or administrator; over the whole project, there are four."""
    roles = set(re.findall(r'"(roles/[\w.]+)"', source()))
    assert not [role for role in roles if role in {"roles/owner", "roles/editor"} or role.endswith(("Admin", ".admin"))]
    wide = {name: body for name, body in named("resource").items() if name.startswith("google_project_iam_member.")}
    granted = {role for body in wide.values() for role in re.findall(r"roles/[\w.]+", str(body))}
    assert granted == {"roles/dataflow.worker", "roles/dataflow.developer", "roles/logging.logWriter", "roles/workflows.invoker"}  # fmt: skip


def test_no_secret() -> None:
    """Only names of secrets occur; values would be in Terraform's state, for everybody to see who sees that."""
    assert "google_secret_manager_secret_version" not in source()
    assert not re.findall(r"(?m)^\s*(?:password|token|secret_data)\s*=", source())
