"""Metrics: names, groups, and what the stats process refuses at its start."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from dovebeam.transforms.config.model import GroupBy
from support.config_text import accepted, dovecot_errors, messages, metric, reading, stats_errors, warnings

LOG = "event_exporter x {\n format = json\n%s}\n"


def grouped(lines: str) -> str:
    """A metric with one group_by, of field f."""
    return f"metric a {{\nfilter = a=b\ngroup_by f {{\n{lines}}}\n}}\n"


def test_group_by(tmp_path: Path) -> None:
    """Levels in the order of first opening, methods with typed parameters, full and short names."""
    body = """metric a {
  filter = a=b
  group_by one {
  }
  group_by two {
    method exponential {
      exponential_max_magnitude = 5
      base = 2
    }
  }
  metric_group_by three {
    field = other
    metric_group_by_method linear {
      metric_group_by_method_linear_max = 10
      linear_min = 1
      step = 3
    }
  }
  group_by one {
    method discrete {
      modifier = %{value | domain}
    }
  }
}
"""
    found = metric(tmp_path, body)
    assert [(g.field, [(m.method, dict(m.settings)) for m in g.methods]) for g in found.group_by] == [
        ("one", [("discrete", {"metric_group_by_method_discrete_modifier": "%{value | domain}"})]),
        (
            "two",
            [
                (
                    "exponential",
                    {
                        "metric_group_by_method_exponential_min_magnitude": 0,
                        "metric_group_by_method_exponential_max_magnitude": 5,
                        "metric_group_by_method_exponential_base": 2,
                    },
                )
            ],
        ),
        (
            "other",
            [
                (
                    "linear",
                    {
                        "metric_group_by_method_linear_min": 1,
                        "metric_group_by_method_linear_max": 10,
                        "metric_group_by_method_linear_step": 3,
                    },
                )
            ],
        ),
    ]


METHOD = "metric_group_by_method_"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("method exponential {\n base = 3\n}\n", f"{METHOD}exponential_base must be 2 or 10"),
        ("method linear {\n max = 5\n}\n", f"{METHOD}linear_step must not be 0"),
        ("method linear {\n min = 9\n max = 5\n}\n", f"{METHOD}linear_step must not be 0"),
        (
            "method linear {\n min = 10\n max = 5\n step = 1\n}\n",
            f"{METHOD}linear_min (10) must be smaller than {METHOD}linear_max (5)",
        ),
        (
            "method linear {\n max = 5\n step = 10\n}\n",
            f"{METHOD}linear_min (0) + {METHOD}linear_step (10) must be <= {METHOD}linear_max (5)",
        ),
        (
            "method linear {\n max = 5\n step = 1\n}\nmethod discrete {\n}\n",
            "Only one metric_group_by_method named filter is allowed",
        ),
        ("field = g\nmethod exponential {\n base = 3\n}\n", ""),
    ],
)
def test_wrong_parameters(tmp_path: Path, lines: str, error: str) -> None:
    """The first wrong parameter of a method is an error, with the stats process's message."""
    found = reading(tmp_path, grouped(lines))
    field = "f" if error else "g"
    expected = error or f"{METHOD}exponential_base must be 2 or 10"
    assert stats_errors(found) == [f"metric_group_by {field}: {expected}"]
    assert dovecot_errors(found) == []
    assert len(messages(found)) == 1


@pytest.mark.parametrize(
    "lines",
    [
        "method exponential {\n min_magnitude = 3\n max_magnitude = 1\n}\n",
        "method exponential {\n max_magnitude = 19\n}\n",
        "method exponential {\n base = 2\n max_magnitude = 63\n}\n",
        "method linear {\n min = 1\n max = 5\n step = 18446744073709551615\n}\n",
    ],
)
def test_parameters_that_dovecot_accepts_and_crashes_on(tmp_path: Path, lines: str) -> None:
    """Are errors of ours only."""
    found = reading(tmp_path, grouped(lines))
    assert len(messages(found)) == 1
    assert stats_errors(found) == dovecot_errors(found) == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('metric "" {\n filter = a=b\n}\n', "Metric name can't be empty"),
        ("metric a {\n filter = a=b\n name =\n}\n", "Metric name can't be empty"),
        (
            "metric a {\n filter = user=%{user}\n}\n",
            "stats_metric settings (filter=metric/a): Failed to parse configuration: "
            "Failed to expand metric_filter setting variables: Unknown variable 'user'",
        ),
        (
            "metric a {\n filter = a=b\n description = %{x}\n}\n",
            "stats_metric settings (filter=metric/a): Failed to parse configuration: "
            "Failed to expand metric_description setting variables: Unknown variable 'x'",
        ),
        (
            "metric a {\n filter = a=b %{env:X}\n}\n",
            "stats_metric settings (filter=metric/a): Invalid settings: "
            "event filter: syntax error, unexpected TOKEN, expecting end of file",
        ),
        (
            "metric a {\n filter = %{env:NO}\n}\n",
            "stats_metric settings (filter=metric/a): Invalid settings: "
            "metric a { filter } is empty - will not match anything",
        ),
        (
            LOG % " driver = %{env:X}\n" + "metric a {\n filter = a=b\n exporter = x\n}\n",
            "Invalid setting event_exporter_driver=%{env:X}: Invalid value: %{env:X}",
        ),
        (
            LOG % " unix_connect_timeout = %{env:X}\n",
            "Invalid setting event_exporter_unix_connect_timeout=%{env:X}: ***",
        ),
        (
            LOG % " name = y\n" + "metric a {\n filter = a=b\n exporter = x\n}\n",
            "metric a refers to nonexistent exporter 'x'",
        ),
    ],
)
def test_refused_at_the_start(tmp_path: Path, body: str, error: str) -> None:
    """What doveconf accepts, but the stats process refuses."""
    found = reading(tmp_path, body, environ={"X": "x"})
    assert dovecot_errors(found) == []
    assert stats_errors(found) == [error]
    assert len(messages(found)) == 1


def test_unknown_parts_are_warnings(tmp_path: Path) -> None:
    """The word is ignored; only a metric that is exported makes Dovecot say so."""
    body = LOG % "" + "metric a {\n filter = a=b\n exporter = x\n exporter_include = name bogus Fields\n}\n"
    found = reading(tmp_path, body)
    assert messages(found) == []
    assert [finding.problem.dovecot for finding in found.report.warnings] == [
        "Ignoring unknown exporter include 'bogus'",
        "Ignoring unknown exporter include 'Fields'",
    ]
    assert "did you mean 'fields'?" in warnings(found)[1]
    assert found.config.metrics[0].exporter_include == ("name",)
    quiet = reading(tmp_path, "metric a {\n filter = a=b\n exporter_include = bogus\n}\n")
    assert [finding.problem.dovecot for finding in quiet.report.warnings] == [""]


@pytest.mark.parametrize("value", ["foo", "%{x}", "$SET:nosuch"])
def test_a_wrong_method_name_is_only_an_error(tmp_path: Path, value: str) -> None:
    """The setting that names the method may be wrong, too; it is one error, and the block's name stands for it."""
    found = reading(tmp_path, grouped(f"method linear {{\n max = 9\n step = 1\n method = {value}\n}}\n"))
    assert len(messages(found)) == 1
    assert [method.method for method in found.config.metrics[0].group_by[0].methods] == ["linear"]
    if value == "foo":
        assert dovecot_errors(found) == ["line 9: method: Invalid value: foo"]


def test_a_name_can_be_extended(tmp_path: Path) -> None:
    """A name setting that refers to itself starts from the block's name."""
    assert metric(tmp_path, "metric a {\n filter = a=b\n name = $SET:metric_name more\n}\n").name == "a more"


def test_texts_as_written(tmp_path: Path) -> None:
    """Variables are expanded in the model's texts; how they were written is kept."""
    body = 'metric a {\n filter = a=b\n description = %{env:NO | default("x")} 100%\n}\n'
    found = metric(tmp_path, body)
    assert found.description == "x 100%"
    assert found.settings.written("metric_description") == '%{env:NO | default("x")} 100%'
    assert found.settings.written("metric_name") == "a"


def test_a_list_from_a_file(tmp_path: Path) -> None:
    """A list can be read from a file; its line end, if there is one, is no separator."""
    body = "metric a {\n filter = a=b\n fields = <list\n}\n"
    assert metric(tmp_path, body, files={"list": "c d,e"}).fields == ("c", "d", "e")
    found = reading(tmp_path, body, files={"list": "c d\n"})
    assert found.config.metrics[0].fields == ("c", "d\n")
    assert "line end" in warnings(found)[0]
    missing = reading(tmp_path, body.replace("<list", "<nosuch"))
    assert dovecot_errors(missing) == ["line 5: fields: Can't open file nosuch: No such file or directory"]


def test_names(tmp_path: Path) -> None:
    """The name setting renames a metric; the block's name stays known; order is that of first opening."""
    body = (
        "metric b {\n filter = a=1\n}\nmetric a {\n name = z\n filter = a=2\n}\nmetric b {\n description = again\n}\n"
    )
    config = accepted(tmp_path, body)
    assert [(m.block_name, m.name, m.description) for m in config.metrics] == [("b", "b", "again"), ("a", "z", "")]


def test_models_travel(tmp_path: Path) -> None:
    """A configuration can be pickled, and is equal afterwards."""
    body = LOG % "" + grouped("").replace("filter = a=b", "filter = a=b\nexporter = x")
    config = accepted(tmp_path, body)
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.metrics_of("x") == config.metrics
    assert again.metrics[0].group_by == (GroupBy("f", ()),)
    assert hash(config.exporters["x"]) == hash(again.exporters["x"])
