"""Beam's part of the command line: its options, and where they make the job run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NoReturn

from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    WorkerOptions,
)

from dovebeam.pipelines.options.spellings import is_flink
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.transforms.errors import closest_name

__all__ = [
    "FLINK_OPTIONS",
    "IN_PROCESS_RUNNERS",
    "environment_type",
    "is_in_process",
    "is_local_job",
    "known_option_names",
    "make_beam_options",
    "stream_arguments",
    "workers_of",
]

IN_PROCESS_RUNNERS: Final = frozenset({"direct", "directrunner", "switchingdirectrunner", "fnapi", "fnapirunner"})
"""Names for Beam's in-process runner, in small letters."""

FLINK_OPTIONS: Final = frozenset(
    f"--{name}"
    for name in (
        "allow_non_restored_state attached_mode auto_watermark_interval checkpoint_timeout_millis "
        "checkpointing_interval checkpointing_mode disable_metrics enable_stable_input_drain execution_mode_for_batch "
        "execution_retry_delay "
        "externalized_checkpoints_enabled fail_on_checkpointing_errors faster_copy files_to_stage "
        "finish_bundle_before_checkpointing flink_conf_dir force_unaligned_checkpoint_enabled "
        "job_check_interval_in_secs latency_tracking_interval max_bundle_size max_bundle_time_mills "
        "min_pause_between_checkpoints num_concurrent_checkpoints number_of_execution_retries object_reuse "
        "operator_chaining re_iterable_group_by_key_result report_checkpoint_duration "
        "retain_externalized_checkpoints_on_cancellation savepoint_path shutdown_sources_after_idle_ms state_backend "
        "state_backend_storage_path unaligned_checkpoint_enabled"
    ).split()
)
"""Options of Beam's Flink job server that Beam for Python does not declare, in its spelling.

Beam learns them when it hands a job over; see "Pipeline options for the Flink Runner" in Beam's documentation.
"""

_STREAMING: Final = (("--checkpointing_interval", "=1000"), ("--finish_bundle_before_checkpointing", ""))
"""Options that a stream needs on Flink, with their defaults; times in milliseconds."""

_LOCAL_RUNNERS: Final = frozenset({"bundlebaseddirectrunner", "testdirectrunner"})
_PRISM: Final = frozenset({"prism", "prismrunner"})
_ENGINES: Final = frozenset({*_PRISM, "portable", "portablerunner", "flink", "flinkrunner", "spark", "sparkrunner"})
# Names that Beam accepts although they are not in its list of runners.
_OTHERS: Final = frozenset({"pythonrpcdirectrunner", *IN_PROCESS_RUNNERS})
# Values of --flink_master with which Beam starts a Flink of its own.
_EMBEDDED_FLINK: Final = frozenset({"[auto]", "[local]"})


def make_beam_options(arguments: Sequence[str]) -> PipelineOptions:
    """Parses Beam's options and refuses unknown ones.

    For a job on this machine every option must be Beam's. Other runners, and engines with a job server, have options of
    their own, which Beam learns only from them; there only misspelt options are refused.

    Raises:
        UsageError: an unknown option, or a value that Beam refuses.
    """
    # By our parser first: Beam's own ignores unknown options, and prints usage and exits at an invalid value.
    _, unknown = _beam_parser().parse_known_args(list(arguments))
    options = PipelineOptions(list(arguments))
    _check_unknown(unknown, options)
    _check_runner(options)
    return options


def is_in_process(options: PipelineOptions) -> bool:
    """Whether Beam's in-process runner is used, the default."""
    return _runner(options) in IN_PROCESS_RUNNERS


def is_local_job(options: PipelineOptions) -> bool:
    """Whether the job's workers run on this machine, so that local paths mean the same to them.

    The workers of an engine do if they are in this very process (`LOOPBACK`), or if they are its child processes
    (`PROCESS`) and this process starts the engine. Where a `--job_endpoint` leads is unknown.
    """
    runner = _runner(options)
    if runner not in _ENGINES:
        return runner in IN_PROCESS_RUNNERS | _LOCAL_RUNNERS
    portable = options.view_as(PortableOptions)
    kind = environment_type(options)
    return portable.job_endpoint == "embed" or kind == "loopback" or (kind == "process" and _starts_engine(options))


def environment_type(options: PipelineOptions) -> str:
    """Kind of an engine's workers, in small letters: `loopback`, `process`, `docker` ...; "" for Beam's default."""
    if _runner(options) not in _ENGINES:
        return ""
    given = str(options.view_as(PortableOptions).environment_type or "").lower()
    # As Beam's PrismRunner has it.
    return given or ("loopback" if _runner(options) in _PRISM else "")


def _starts_engine(options: PipelineOptions) -> bool:
    if options.view_as(PortableOptions).job_endpoint:
        return False
    runner = _runner(options)
    flink = runner.startswith("flink") and options.view_as(FlinkRunnerOptions).flink_master in _EMBEDDED_FLINK
    return flink or runner in _PRISM


def stream_arguments(arguments: Sequence[str]) -> list[str]:
    """Beam's part of the command line of a stream, on Flink with checkpoints, by default every second.

    Flink tells a source at its checkpoints what was delivered, and makes none by default; without them a stream would
    never save its position. A bundle has to end before a checkpoint: what a step gives out after it waits for the next
    bundle of that step, which never comes if the step gets only one element.

    Args:
        arguments: Beam's part, as it was given.
    """
    if not is_flink(arguments):
        return list(arguments)
    given = {word.partition("=")[0] for word in arguments}
    return [*arguments, *(f"{name}{value}" for name, value in _STREAMING if name not in given)]


def workers_of(options: PipelineOptions) -> int:
    """Most worker processes that a job has at the same time, as far as its options tell; at least 1."""
    direct = options.view_as(DirectOptions)
    far = options.view_as(WorkerOptions)
    if is_in_process(options):
        return max(1, direct.direct_num_workers) if direct.direct_running_mode == "multi_processing" else 1
    parallelism = getattr(options.view_as(FlinkRunnerOptions), "parallelism", None)
    return max(1, far.max_num_workers or far.num_workers or 1, parallelism or 1)


@cache
def known_option_names() -> frozenset[str]:
    """Names of all options of Beam, with their dashes."""
    return frozenset(name for action in _beam_parser()._actions for name in action.option_strings)


def _runner(options: PipelineOptions) -> str:
    return str(options.view_as(StandardOptions).runner or "direct").lower().rpartition(".")[2]


def _check_runner(options: PipelineOptions) -> None:
    """Refuses an unknown runner, before a remote job's other needs are checked."""
    given = str(options.view_as(StandardOptions).runner or "direct")
    known = [name.rpartition(".")[2] for name in StandardOptions.ALL_KNOWN_RUNNERS]
    lower = {name.lower() for name in known}
    if "." in given or not lower.isdisjoint({given.lower(), f"{given.lower()}runner"}) or _runner(options) in _OTHERS:
        return
    near = closest_name(given, known)
    hint = f"did you mean {near}?" if near else f"Beam has {', '.join(known)}"
    raise UsageError(f"--runner={given}: unknown runner; {hint}")


def _name(argument: str) -> str:
    return argument.partition("=")[0]


def _has_own_options(options: PipelineOptions) -> bool:
    """Whether the job goes to a job server, which has options that only it knows."""
    return _runner(options) in _ENGINES - _PRISM


def _check_unknown(unknown: Sequence[str], options: PipelineOptions) -> None:
    local, own = is_local_job(options), _has_own_options(options)
    known = known_option_names() | (FLINK_OPTIONS if own else frozenset())
    for before, argument in zip(["", *unknown], unknown, strict=False):
        # A job server tells Beam its options only when the job is handed over, so any value may belong to one.
        if own and (_name(argument) in FLINK_OPTIONS or _is_value(argument, before)):
            continue
        near = closest_name(_name(argument), known)
        if argument.startswith("--") and (near or (local and not own)):
            hint = f"did you mean {near}?" if near else "neither dovebeam nor Beam has it, see --help"
            raise UsageError(f"unknown option {_name(argument)}; {hint}")
        if local and not argument.startswith("--"):
            raise UsageError(f"{argument!r} belongs to no option; inputs are given with --input")


def _is_value(argument: str, before: str) -> bool:
    return before.startswith("--") and "=" not in before and not argument.startswith("--")


class _Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting, with the method that Beam's options need beyond argparse."""

    def add_value_provider_argument(self, *args: Any, **kwargs: Any) -> None:
        # Without its type: only the names are wanted, and Beam's own parser checks the value.
        self.add_argument(*args, **{key: value for key, value in kwargs.items() if key != "type"})

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _beam_parser() -> argparse.ArgumentParser:
    parser: Any = _Parser(allow_abbrev=False, add_help=False)
    for kind in PipelineOptions.__subclasses__():
        # Others are of a user's pipeline in the same process, or of a test.
        if kind.__module__.startswith("apache_beam."):
            kind._add_argparse_args(parser)
    parsed: argparse.ArgumentParser = parser
    return parsed
