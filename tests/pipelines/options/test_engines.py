"""Options of Flink's job server: told from mistakes, and what a stream sets by itself."""

from __future__ import annotations

import pytest

from dovebeam.pipelines.options.beam import make_beam_options, stream_arguments
from dovebeam.pipelines.terminal.exit_codes import UsageError

FINISH = "--finish_bundle_before_checkpointing"


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], []),
        (["--runner=PrismRunner"], []),
        (["--runner=FlinkRunner"], ["--checkpointing_interval=1000", FINISH]),
        (["--runner", "flink"], ["--checkpointing_interval=1000", FINISH]),
        (
            ["--runner=apache_beam.runners.portability.flink_runner.FlinkRunner"],
            ["--checkpointing_interval=1000", FINISH],
        ),
        (["--runner=FlinkRunner", "--checkpointing_interval=60000"], [FINISH]),
        (["--runner=FlinkRunner", "--checkpointing_interval", "60000", FINISH], []),
        (["--job_name", "flink", "--runner=PortableRunner"], []),
    ],
)
def test_checkpoints_of_a_stream(given: list[str], added: list[str]) -> None:
    """On Flink there are some, and before each a bundle ends; what was said by hand holds."""
    assert stream_arguments(given) == [*given, *added]


@pytest.mark.parametrize(
    "options",
    [
        ["--checkpointing_interval=1000"],
        ["--checkpointing_interval", "1000", "--state_backend", "rocksdb"],
        ["--flink_conf_dir=/etc/flink", FINISH],
    ],
)
def test_options_of_the_job_server(options: list[str]) -> None:
    """Beam does not know them before it has a job server, and they are no mistakes."""
    make_beam_options(["--runner=FlinkRunner", "--environment_type=LOOPBACK", *options])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--runner=FlinkRunner", "--checkpointing_intervall=1000"], "did you mean --checkpointing_interval?"),
        (["--runner=FlinkRunner", "--environment_type=LOOPBACK", "events.json"], "belongs to no option"),
        (["--checkpointing_interval=1000"], "unknown option --checkpointing_interval"),
    ],
)
def test_mistakes(options: list[str], words: str) -> None:
    """Near misses, words that belong to nothing, and options of Flink for a job that does not run there."""
    with pytest.raises(UsageError, match=words.replace("?", r"\?")):
        make_beam_options(options)
