"""Options that engines have beyond Beam's own: how they are recognized, and what a stream sets by itself.

Beam learns the options of a job server when it hands it a job, and passes on what it knows; see "Pipeline options for
the Flink Runner" in Beam's documentation of that runner. What no job server knows, Beam drops with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["FLINK_OPTIONS", "is_flink", "stream_arguments"]

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
"""Options of Beam's Flink job server that Beam for Python does not declare, in its spelling."""

_STREAMING: Final = (("--checkpointing_interval", "=1000"), ("--finish_bundle_before_checkpointing", ""))
"""What a stream needs on Flink, and with which value if nothing else is said; times in milliseconds."""


def stream_arguments(arguments: Sequence[str]) -> list[str]:
    """Beam's part of the command line of a stream, with checkpoints on Flink, every second if nothing else is said.

    Flink tells a source at its checkpoints what was delivered, and makes none unless it is told to. Without them a
    stream would never save how far it has come. A step that is in the middle of a bundle then has to end it first: what
    it gives out after the checkpoint waits for its next bundle, and a step that gets one element in all has none.

    Args:
        arguments: Beam's part, as it was given.
    """
    if not is_flink(arguments):
        return list(arguments)
    given = {word.partition("=")[0] for word in arguments}
    return [*arguments, *(f"{name}{value}" for name, value in _STREAMING if name not in given)]


def is_flink(arguments: Sequence[str]) -> bool:
    """Whether Beam's part of a command line names Flink as the runner."""
    return any(_names_flink(before, word) for before, word in zip(["", *arguments], arguments, strict=False))


def _names_flink(before: str, word: str) -> bool:
    name, _, value = word.partition("=") if before != "--runner" else (before, "", word)
    return name == "--runner" and value.lower().rpartition(".")[2] in {"flink", "flinkrunner"}
