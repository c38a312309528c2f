"""The dashboard and the alerts: as Google's API reads them, against the counters of the code, and evaluated.

Google evaluates PromQL; what an alert says is therefore tried by Prometheus' own tool over series that are made up.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.monitoring_dashboard_v1 import Dashboard
from google.cloud.monitoring_v3 import AlertPolicy

from dovebeam.transforms.counters import COUNTERS
from support.jobs.flex_templates import TEMPLATES
from support.programs import HANG_SECS, require_program

DASHBOARD = TEMPLATES / "monitoring" / "dashboard.json"
ALERTS = sorted((TEMPLATES / "monitoring" / "alerts").glob("*.json"))
_COUNTER = "dataflow_googleapis_com:job_user_counter"
_AGE = (
    "pubsub_googleapis_com:subscription_oldest_unacked_message_age"
    '{monitored_resource="pubsub_subscription",subscription_id="dovecot-events"}'
)


def counter(name: str, job: str = "dovebeam-stream", step: str = "s1") -> str:
    """A series of one of our counters, as Cloud Monitoring has it."""
    labels = {"monitored_resource": "dataflow_job", "job_name": job, "metric_name": name, "ptransform": step}
    return _COUNTER + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def condition(path: Path) -> dict[str, str]:
    """The query of an alert, and how long it must be true."""
    (found,) = json.loads(path.read_text())["conditions"]
    query: dict[str, str] = found["conditionPrometheusQueryLanguage"]
    return query


def tiles() -> dict[str, list[str]]:
    """The queries of the dashboard by the titles of their charts."""
    widgets = [tile["widget"] for tile in json.loads(DASHBOARD.read_text())["mosaicLayout"]["tiles"]]
    return {
        each["title"]: [one["timeSeriesQuery"]["prometheusQuery"] for one in each["xyChart"]["dataSets"]]
        for each in widgets
    }


def queries() -> list[str]:
    """Everything that is asked of Cloud Monitoring."""
    return [query for found in tiles().values() for query in found] + [condition(path)["query"] for path in ALERTS]


def promtool(folder: Path, what: str, document: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    """Has Prometheus' tool check rules, or test them as a document says."""
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dovebeam", "rules": rules}]}))
    (folder / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], **document}))
    file = folder / ("test.yml" if what == "test" else "rules.yml")
    ran = subprocess.run(
        [require_program("promtool"), what, "rules", file],
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECS,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_google_reads_them() -> None:
    """Every member is one of Google's messages; policies have a severity and say what to do."""
    for path in ALERTS:
        policy = AlertPolicy.from_json(path.read_text(), ignore_unknown_fields=False)
        assert policy.severity in {AlertPolicy.Severity.CRITICAL, AlertPolicy.Severity.WARNING}
        assert policy.documentation.content
    dashboard = Dashboard.from_json(DASHBOARD.read_text(), ignore_unknown_fields=False)
    places = [(tile.x_pos, tile.y_pos, tile.width, tile.height) for tile in dashboard.mosaic_layout.tiles]
    assert len(places) == len(set(places)) == len(tiles())
    assert all(x + width <= dashboard.mosaic_layout.columns for x, _, width, _ in places)


def test_counters_exist() -> None:
    """Every counter that a query names is one of ours; those of an exporter are asked for with a pattern."""
    known = {re.sub(r"/[A-Z]+$", "/.*", name) for name in COUNTERS}
    named = {
        name
        for query in queries()
        for names in re.findall(r'metric_name=~?"([^"]+)"', query)
        for name in names.split("|")
    }
    assert named <= known, named - known
    assert {"read", "undecodable", "delivered/.*", "rejected/.*", "rejects_accounted"} <= named


def test_only_our_jobs() -> None:
    """No query counts the jobs of others: ours are those whose names begin with `dovebeam-`."""
    for query in queries():
        ours = re.findall(r'monitored_resource="dataflow_job",job_name=~"dovebeam-[a-z]*\.\*"', query)
        assert len(ours) == query.count("dataflow_googleapis_com:"), query


def test_queries_are_promql(tmp_path: Path) -> None:
    """Prometheus parses all of them."""
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries())]
    promtool(tmp_path, "check", {}, rules)


HIGH, LOW, FLAT, GROWS = "700x60", "5x60", "100x60", "0+60x60"
CASES = [
    # alert, the series, minute, the jobs (or "" for one without) that raise it then
    ("rejects", {counter("rejects_accounted"): "0x20 5x40"}, 19, []),
    ("rejects", {counter("rejects_accounted"): "0x20 5x40"}, 23, ["dovebeam-stream"]),
    ("rejects", {counter("rejects_accounted"): "0x20 5x40"}, 40, []),
    ("rejects", {counter("rejects_accounted"): "_x20 5x40"}, 23, ["dovebeam-stream"]),  # a counter begins with its first
    ("rejects", {counter("rejects_accounted", "dovebeam-replay-1"): "1+1x60"}, 30, ["dovebeam-replay-1"]),
    ("rejects", {counter("rejects_accounted", "another"): "1+1x60"}, 30, []),
    ("rejects", {counter("rejected/x"): "1+1x60"}, 30, []),  # counted when it has arrived, once
    ("stalled", {_AGE: HIGH, counter("delivered/x"): FLAT}, 30, [""]),
    ("stalled", {_AGE: HIGH, counter("read"): GROWS}, 30, [""]),
    ("stalled", {_AGE: HIGH}, 30, [""]),  # the stream does not run, or has delivered nothing yet
    ("stalled", {_AGE: HIGH, counter("delivered/x"): GROWS, counter("delivered/y"): FLAT}, 30, []),
    ("stalled", {_AGE: HIGH, counter("rejected/x"): GROWS}, 30, []),
    ("stalled", {_AGE: HIGH, counter("unmatched"): GROWS}, 30, []),
    ("stalled", {_AGE: HIGH, counter("delivered/x", "dovebeam-replay-1"): GROWS}, 30, [""]),
    ("stalled", {_AGE: LOW, counter("delivered/x"): FLAT}, 30, []),
    ("lag", {_AGE: HIGH, counter("delivered/x"): GROWS}, 30, [""]),
    ("lag", {_AGE: HIGH}, 10, []),  # not yet for long enough
    ("lag", {_AGE: LOW}, 30, []),
    ("failed", {'dataflow_googleapis_com:job_is_failed{monitored_resource="dataflow_job",job_name="dovebeam-replay-1"}': "0x10 1x50"}, 20, ["dovebeam-replay-1"]),
    ("failed", {'dataflow_googleapis_com:job_is_failed{monitored_resource="dataflow_job",job_name="dovebeam-replay-1"}': "0x60"}, 20, []),
]  # fmt: skip


@pytest.mark.parametrize(("alert", "series", "minute", "jobs"), CASES)
def test_alert(tmp_path: Path, alert: str, series: dict[str, str], minute: int, jobs: list[str]) -> None:
    """It is raised when it should be, for whom it should be, and not otherwise."""
    asked = condition(TEMPLATES / "monitoring" / "alerts" / f"{alert}.json")
    expected = [{"exp_labels": {"job_name": job} if job else {}} for job in jobs]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected}],
    }
    rule = {"alert": alert, "expr": asked["query"], "for": asked["duration"]}
    promtool(tmp_path, "test", {"evaluation_interval": "1m", "tests": [test]}, [rule])


def test_every_alert_has_cases() -> None:
    """One in which it is raised, and one in which it is not."""
    names = {path.stem for path in ALERTS}
    assert {case[0] for case in CASES if case[3]} == {case[0] for case in CASES if not case[3]} == names


CHARTS = [
    ("Formatted and not yet accounted for, by job", {"formatted/x": FLAT}, '{job_name="dovebeam-stream"}', 100),
    ("Formatted and not yet accounted for, by job", {"formatted/x": FLAT, "delivered/x": "60x60", "rejected/x": "40x60"}, '{job_name="dovebeam-stream"}', 0),
    ("Delivered, by exporter", {"delivered/x": GROWS}, '{job_name="dovebeam-stream",metric_name="delivered/x"}', 1),
    ("Rejects by reason, total of each job", {"reject_reason/gone": "3x60"}, '{job_name="dovebeam-stream",metric_name="reject_reason/gone"}', 3),
]  # fmt: skip


@pytest.mark.parametrize(("title", "series", "labels", "value"), CHARTS)
def test_chart(tmp_path: Path, title: str, series: dict[str, str], labels: str, value: float) -> None:
    """What it shows of counters that are known; events a second where counters grow."""
    test = {
        "interval": "1m",
        "input_series": [{"series": counter(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": tiles()[title][0], "eval_time": "30m", "exp_samples": [{"labels": labels, "value": value}]}
        ],
    }
    promtool(tmp_path, "test", {"evaluation_interval": "1m", "tests": [test]}, [])
