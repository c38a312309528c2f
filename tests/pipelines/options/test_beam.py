"""Beam's part of the command line."""

import pytest
from apache_beam.options.pipeline_options import DirectOptions

from dovebeam.pipelines.options.beam import is_in_process, is_local_job, known_option_names, make_beam_options
from dovebeam.pipelines.terminal.exit_codes import UsageError


def test_values_arrive() -> None:
    """Beam gets its options."""
    options = make_beam_options(["--direct_num_workers=3", "--direct_running_mode", "multi_processing"])
    assert options.view_as(DirectOptions).direct_num_workers == 3


@pytest.mark.parametrize(
    ("arguments", "in_process", "local"),
    [
        ([], True, True),
        (["--runner=DirectRunner"], True, True),
        (["--runner=direct"], True, True),
        (["--runner=FnApiRunner"], True, True),
        (["--runner=PrismRunner"], False, True),
        (["--runner=PortableRunner", "--job_endpoint=embed"], False, True),
        (["--runner=PortableRunner", "--job_endpoint=localhost:8099"], False, False),
        (["--runner=PortableRunner", "--job_endpoint=flink.example:8099", "--environment_type=LOOPBACK"], False, True),
        (["--runner=PortableRunner", "--job_endpoint=localhost:8099", "--environment_type=PROCESS"], False, False),
        (["--runner=PrismRunner", "--environment_type=PROCESS"], False, True),
        (["--runner=PrismRunner", "--environment_type=DOCKER"], False, False),
        (["--runner=PrismRunner", "--job_endpoint=localhost:8073", "--environment_type=PROCESS"], False, False),
        (["--runner=FlinkRunner"], False, False),
        (["--runner=FlinkRunner", "--environment_type=LOOPBACK"], False, True),
        (["--runner=FlinkRunner", "--flink_master=[local]", "--environment_type=PROCESS"], False, True),
        (["--runner=FlinkRunner", "--flink_master=localhost:8081", "--environment_type=PROCESS"], False, False),
        (["--runner=DataflowRunner", "--project=x", "--environment_type=PROCESS"], False, False),
        (["--runner=DataflowRunner", "--project=x"], False, False),
        (["--runner=some.module.OtherRunner"], False, False),
    ],
)
def test_where_a_job_runs(arguments: list[str], in_process: bool, local: bool) -> None:
    """The runner decides; without one it is this process."""
    options = make_beam_options(arguments)
    assert (is_in_process(options), is_local_job(options)) == (in_process, local)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--runer=DataflowRunner"], "did you mean --runner?"),
        (["--whatever"], "neither dovebeam nor Beam"),
        (["--streaming", "stray"], "'stray' belongs to no option"),
        (["--direct_num_workers=many"], "invalid int value"),
        (["--direct_running_mode=fast"], "invalid choice"),
        (["--runner=FlinkRunner", "--job_endpont=x"], "did you mean --job_endpoint?"),
    ],
)
def test_refused(arguments: list[str], words: str) -> None:
    """A misspelt option is an error, since Beam would drop it with no more than a warning."""
    with pytest.raises(UsageError) as caught:
        make_beam_options(arguments)
    assert words in str(caught.value)


def test_options_of_other_runners_pass() -> None:
    """Runners elsewhere have options that Beam learns from them."""
    make_beam_options(["--runner=FlinkRunner", "--quux=7"])
    assert "--runner" in known_option_names()
