"""The DAGs for Airflow: what they give to its operators, against the templates and the commands.

Airflow itself is too large an installation for these tests; its operators are stood in for by ones that keep what they
are given. How they make a command line of it, and their templates in Jinja, are as in Airflow.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
from google.cloud.dataflow_v1beta3.types import LaunchFlexTemplateParameter

from support.jobs.commands import HEAD, dovebeam, exporter, metric
from support.jobs.flex_templates import TEMPLATES, generator, parameters_of
from support.oracle.corpus import corpus_lines
from support.programs import HANG_SECS

SCHEDULES = TEMPLATES / "schedules"
WHEN = dt.datetime(2026, 11, 22, 9, 15, tzinfo=dt.UTC)
HOUR = (int(WHEN.timestamp()) - 75 * 60, int(WHEN.timestamp()) - 15 * 60)
_MODULES = {
    "airflow": (),
    "airflow.sdk": ("DAG",),
    "airflow.timetables.trigger": ("CronTriggerTimetable",),
    "airflow.providers.google.cloud.operators.dataflow": ("DataflowStartFlexTemplateOperator",),
    "airflow.providers.apache.beam.operators.beam": ("BeamRunPythonPipelineOperator",),
}


class Kept:
    """Stands in for a class of Airflow: keeps what it is given."""

    made: list[Kept]

    def __init__(self, *words: Any, **options: Any) -> None:
        """Keeps itself in the list of its class."""
        self.words = words
        self.options = options
        self.made.append(self)

    def __enter__(self) -> Kept:
        """As a DAG does."""
        return self

    def __exit__(self, *_: object) -> None:
        """As a DAG does."""


@pytest.fixture(name="made")
def _made(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Kept]]:
    """What DAGs that are loaded from now on make, by the names of Airflow's classes."""
    made: dict[str, list[Kept]] = {}
    for module, names in _MODULES.items():
        stand_in = ModuleType(module)
        for name in names:
            setattr(stand_in, name, type(name, (Kept,), {"made": made.setdefault(name, [])}))
        monkeypatch.setitem(sys.modules, module, stand_in)
    return made


def rendered(value: Any, when: dt.datetime = WHEN) -> Any:
    """A value with its templates filled in, as Airflow does it before a task runs."""
    if isinstance(value, dict):
        return {key: rendered(each, when) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(value).render(logical_date=when, ti={"try_number": 2})


def load(name: str, made: dict[str, list[Kept]], operator: str) -> tuple[Kept, Kept]:
    """The DAG of a file, and its only task."""
    runpy.run_path(str(SCHEDULES / name))
    (dag,), (task,) = made["DAG"], made[operator]
    return dag, task


FILES = [
    ("airflow_flex_template.py", "DataflowStartFlexTemplateOperator"),
    ("airflow_beam.py", "BeamRunPythonPipelineOperator"),
]


@pytest.mark.parametrize(("name", "operator"), FILES)
def test_schedule(made: dict[str, list[Kept]], name: str, operator: str) -> None:
    """Every hour, when Pub/Sub's files of the hour are there; two hours never at once; a failure is tried again."""
    dag, task = load(name, made, operator)
    (timetable,) = made["CronTriggerTimetable"]
    assert (timetable.words, timetable.options) == (("15 * * * *",), {"timezone": "UTC"})
    assert dag.options["schedule"] is timetable
    assert (dag.options["catchup"], dag.options["max_active_runs"]) == (False, 1)
    assert task.options["retries"] > 0


def test_every_dag_is_tested() -> None:
    """No other file lies there."""
    assert {path.name for path in SCHEDULES.glob("*.py")} == {name for name, _ in FILES}


def test_flex_template(made: dict[str, list[Kept]]) -> None:
    """The body is a launch as Google's API has it, of the last full hour, with parameters that the template takes."""
    _, task = load(*FILES[0][:1], made, FILES[0][1])
    body = rendered(task.options["body"])["launchParameter"]
    assert LaunchFlexTemplateParameter.from_json(json.dumps(body), ignore_unknown_fields=False).environment.max_workers
    given, offered = body["parameters"], parameters_of("replay")
    assert {name for name, each in offered.items() if not each["isOptional"]} <= set(given) <= set(offered)
    assert all(re.fullmatch(regex, value) for name, value in given.items() for regex in offered[name]["regexes"])
    parse, parser = generator()._COMMANDS["replay"][1], generator().parser_of("replay")
    options = parse(parser, [f"--{name}={value}" for name, value in given.items()]).export
    assert (options.start_time, options.end_time) == tuple(each * 1_000_000 for each in HOUR)
    assert options.rejects.endswith(f"/rejects/replay-{HOUR[0]}-2.jsonl")


@pytest.mark.parametrize("minute", [0, 15, 59])
@pytest.mark.parametrize("name", FILES)
def test_hour(made: dict[str, list[Kept]], name: tuple[str, str], minute: int) -> None:
    """It is the last full one, however late in the hour and in whichever zone a run is."""
    _, task = load(*name[:1], made, name[1])
    options = task.options.get("pipeline_options")
    given = options or task.options["body"]["launchParameter"]["parameters"]
    when = WHEN.replace(minute=minute).astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    spans = [rendered(given[each], when) for each in (("start_time", "end_time") if options else ("startTime", "endTime"))]  # fmt: skip
    assert spans == [str(each) for each in HOUR]


def test_beam_operator(made: dict[str, list[Kept]], tmp_path: Path) -> None:
    """The command line that Airflow makes of it replays the hour of the run, out of an archive, with a ledger."""
    _, task = load(*FILES[1][:1], made, FILES[1][1])
    given = task.options
    places = {"/etc/dovecot": tmp_path, "/srv": tmp_path, "/var/log/dovebeam": tmp_path}
    options = rendered(given["pipeline_options"])
    assert all(any(value.startswith(place) for place in places) for value in options.values() if "/" in value)
    for place, here in places.items():
        options = {name: value.replace(place, str(here)) for name, value in options.items()}
    earlier = b'{"event":"x","start_time":"2026-11-22T07:59:59.000000Z","end_time":"2026-11-22T07:59:59.000000Z"}'
    (tmp_path / "events.json").write_bytes(b"\n".join([earlier, *corpus_lines("events.json.gz")[:50], b""]))
    (tmp_path / "archive").mkdir()
    written = dovebeam("archive", "--input", str(tmp_path / "events.json"), "--output", str(tmp_path / "archive"))
    assert written.code == 0, written.err
    file = exporter("out", "file", "json", f"file_path = {tmp_path}/out.json")
    (tmp_path / "dovecot.conf").write_text(HEAD + file + metric("all", "event=*", "out"))
    command = [sys.executable, *given["py_options"], given["py_file"], f"--runner={given['runner']}"]
    words = [f"--{name}={value}" for name, value in {**options, "labels": "airflow-version=v3-3-2"}.items()]
    ran = subprocess.run(
        [*command, *words], check=False, capture_output=True, text=True, timeout=HANG_SECS, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / f"replay-{HOUR[0]}.json").read_text())["read"] == 50
    assert len((tmp_path / "out.json").read_bytes().splitlines()) == 50
