"""The provider file: complete, found where the command says, and every setting documented where Beam looks for it."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.typehints.schemas import PYTHON_ANY_URN
from apache_beam.yaml.yaml_provider import InlineProvider, load_providers

import dovebeam.transforms.yaml as package

PROVIDERS = Path(str(package.__file__)).with_name("providers.yaml")
NAMES = package.__all__
ANYTHING = {("DovecotEvents", "path"), ("ExportEvents", "config"), ("ExportEvents", "path")}
"""Settings that are a text or a list of texts, for which Beam's schemas have no type."""


def provider() -> InlineProvider:
    """The one provider of the file."""
    (found,) = load_providers(str(PROVIDERS))
    assert isinstance(found, InlineProvider)
    return found


def test_the_command_prints_the_path() -> None:
    """The documented command says where the installed file is."""
    command = [sys.executable, "-m", "dovebeam.transforms.yaml"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert Path(printed).samefile(PROVIDERS)


def test_the_file_lists_every_transform() -> None:
    """What the package has is what a pipeline can use."""
    assert sorted(provider().provided_transforms()) == NAMES == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name: str) -> None:
    """Beam shows a description of the transform and of each of its settings, from the docstring."""
    assert provider().description(name)
    schema = provider().config_schema(name)
    parameters = list(inspect.signature(getattr(package, name).__init__).parameters)[1:]
    assert [field.name for field in schema.fields] == parameters
    assert "error_handling" in parameters
    for field in schema.fields:
        assert field.description, field.name


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_type(name: str) -> None:
    """Beam can check the types of settings before it builds a pipeline."""
    for field in provider().config_schema(name).fields:
        if (name, field.name) not in ANYTHING:
            assert field.type.logical_type.urn != PYTHON_ANY_URN, field.name


def test_docstrings_name_no_setting_twice() -> None:
    """Each class has one section of arguments, in the order of its signature."""
    for name in NAMES:
        cls = getattr(package, name)
        assert issubclass(cls, beam.PTransform)
        documented = [parameter.arg_name for parameter in InlineProvider.get_docs(cls).params]
        assert documented == list(inspect.signature(cls.__init__).parameters)[1:]


def test_nothing_of_beam_yaml_is_imported() -> None:
    """The transforms work, for workers say, without the libraries that only launching a YAML pipeline needs."""
    for path in PROVIDERS.parent.glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not [node for node in imports if (node.module or "").startswith(("apache_beam.yaml", "yaml"))]
