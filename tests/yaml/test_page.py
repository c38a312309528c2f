"""The pipelines of docs/yaml.md: the settings of dovebeam's transforms in them are what these take."""

from typing import Any

import pytest
import yaml

import dovebeam.transforms.yaml as package
from support.pages.documents import blocks_of, commands_of

FILES = {"ExportEvents"}
"""What reads files when it is made; the pipelines that have it are run with the page."""


def steps() -> list[Any]:
    """Type and settings of each of dovebeam's transforms on the page."""
    pipelines = [yaml.safe_load(block.text) for block in blocks_of("docs/yaml.md") if block.language == "yaml"]
    transforms = [each for pipeline in pipelines for each in pipeline["pipeline"]["transforms"]]
    return [(each["type"], each["config"]) for each in transforms if each["type"] in package.__all__]


@pytest.mark.parametrize(("name", "config"), [step for step in steps() if step[0] not in FILES])
def test_settings(name: str, config: dict[str, Any]) -> None:
    """A transform can be made from what the page says."""
    assert getattr(package, name)(**config)


def test_every_transform_is_shown() -> None:
    """The page has an example of each."""
    assert {name for name, _ in steps()} == set(package.__all__)


def test_pipelines_run_without_a_network() -> None:
    """Each pipeline of the page is run by the runner that downloads nothing, as tests/yaml/test_pipelines.py holds."""
    blocks = [block for block in blocks_of("docs/yaml.md") if block.language == "sh"]
    commands = [command.text for block in blocks for command in commands_of(block)]
    runs = [command for command in commands if "apache_beam.yaml.main" in command]
    assert len(runs) > 1
    assert [command for command in runs if " --runner FnApiRunner " not in command] == []
