"""Launch of a command as a Dataflow Flex Template: completes the command line of Google's launcher.

Google's launcher runs an entry point of `templates/` with the template's parameters and Dataflow's options, among them
`--template_location`, the path for the job's description. It starts the job from that description and does not wait for
its end. The launcher's image is also that of the workers, so that both have the same dovebeam and dependencies.
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
    """The command line with the image of the workers added, unless it names one, and with nothing to install on them.

    Args:
        arguments: the command line.
        environ: environment variables, perhaps with `IMAGE_VARIABLE`.

    Raises:
        ValueError: nothing names an image. Beam would use its own, which does not contain dovebeam.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    added = []
    # The image has Beam's SDK already; by default Beam stages one for the workers to install.
    if "--sdk_location" not in given:
        added.append("--sdk_location=container")
    if not given.intersection(_IMAGE_OPTIONS):
        image = environ.get(IMAGE_VARIABLE, "")
        if not image:
            raise ValueError(
                f"the image of the workers is unknown; build this one with --build-arg IMAGE=NAME, which sets "
                f"{IMAGE_VARIABLE}, or give the parameter sdkContainerImage of the launch"
            )
        added.append(f"--sdk_container_image={image}")
    return [*arguments, *added]
