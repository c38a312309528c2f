"""What Google's launcher leaves out, and what a template's command refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.pipelines.template import IMAGE_VARIABLE, main, with_workers
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from support.jobs.commands import dovebeam, exporter, metric, write_config, write_events


@pytest.mark.parametrize(
    ("arguments", "environ", "added"),
    [
        ([], {IMAGE_VARIABLE: "i:1"}, ["--sdk_location=container", "--sdk_container_image=i:1"]),
        (["--sdk_container_image=j"], {IMAGE_VARIABLE: "i:1"}, ["--sdk_location=container"]),
        (["--sdk_container_image", "j"], {}, ["--sdk_location=container"]),
        (["--worker_harness_container_image=j", "--sdk_location=default"], {}, []),
    ],
)
def test_with_workers(arguments: list[str], environ: dict[str, str], added: list[str]) -> None:
    """Workers run the launcher's image, unless the launch says otherwise."""
    assert with_workers(["--config=c", *arguments], environ) == ["--config=c", *arguments, *added]


def test_no_image(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An image that does not know its name cannot be that of the workers."""
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    assert main("export", ["--config=c"]) == ExitCode.USAGE
    assert "build this one with --build-arg IMAGE=NAME" in capsys.readouterr().err


def test_commands_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command is that of the command line."""
    monkeypatch.setenv(IMAGE_VARIABLE, "i:1")
    assert main("replay", ["--help"]) == ExitCode.DONE
    assert capsys.readouterr().out.startswith("usage: dovebeam replay ")


def test_nobody_waits_for_a_job_that_is_only_described(tmp_path: Path) -> None:
    """There is none yet, so there is no end of it."""
    config = write_config(tmp_path, exporter("x", "drop"), metric("all", "event=*", "x"))
    events = write_events(tmp_path, [b'{"event":"x"}'])
    far = ["--runner=support.jobs.far_runner.FarRunner", "--template_location=gs://b/job", "--wait"]
    ran = dovebeam("export", "--config", config, "--input", events, *far)
    assert ran.code == 2
    assert "--template_location only describes the job" in ran.err
