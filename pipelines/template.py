"""The commands as Dataflow's Flex Templates: what the launcher's command line leaves out is filled in here.

Google's launcher runs an entry point of `templates/` with the template's parameters and Dataflow's options, among them
`--template_location`, where the job's description is to be put. It starts the job from that; nobody waits for its end.
The image of the launcher is that of the workers, too, so that both have the same dovebeam and the same dependencies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say

__all__ = ["COMMANDS", "IMAGE_VARIABLE", "main", "with_workers"]

COMMANDS: Final = ("export", "replay", "stream")
"""The commands that have a template."""

IMAGE_VARIABLE: Final = "DOVEBEAM_IMAGE"
"""Environment variable with the name of the image that a template runs in; its Dockerfile sets it."""

_IMAGE_OPTIONS: Final = ("--sdk_container_image", "--worker_harness_container_image")


def main(command: str, argv: Sequence[str] | None = None) -> int:
    """Launches the job of a template and returns the exit code.

    Args:
        command: one of `COMMANDS`.
        argv: parameters and options, by default those of the process.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        complete = with_workers(arguments, os.environ)
    except ValueError as error:
        say(str(error))
        return ExitCode.USAGE
    code: int = import_module(f"dovebeam.pipelines.{command}.command").main(complete, f"dovebeam {command}")
    return code


def with_workers(arguments: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The command line with the image of the workers in it, unless it names one, and with nothing to install on them.

    Args:
        arguments: the command line.
        environ: the environment, where `IMAGE_VARIABLE` may stand.

    Raises:
        ValueError: nothing names an image. Beam's own would be used, in which there is no dovebeam.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    added = []
    if "--sdk_location" not in given:
        added.append("--sdk_location=container")
    if not given.intersection(_IMAGE_OPTIONS):
        image = environ.get(IMAGE_VARIABLE, "")
        if not image:
            raise ValueError(
                f"which image the workers run is not known; build this one with --build-arg IMAGE=NAME, which sets "
                f"{IMAGE_VARIABLE}, or give the parameter sdkContainerImage of the launch"
            )
        added.append(f"--sdk_container_image={image}")
    return [*arguments, *added]
