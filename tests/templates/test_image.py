"""The image of the templates: its Dockerfile, its lock file and the build, against each other and the project.

No image is built here, since that takes Docker and registries.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dovebeam.pipelines.template import IMAGE_VARIABLE
from support.jobs.flex_templates import LOCK, NAMES, ROOT, TEMPLATES
from support.programs import HANG_SECS

DOCKERFILE = TEMPLATES / "Dockerfile"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[^]]*\])?==(\S+)(?: ; [^\\]+)? \\$", re.MULTILINE)


def instructions(kind: str) -> list[str]:
    """The values of all instructions of a kind."""
    structure = DockerfileParser(str(DOCKERFILE)).structure
    return [each["value"] for each in structure if each["instruction"] == kind]


def locked_versions() -> dict[str, str]:
    """The version of each package that the lock file names."""
    return {canonicalize_name(name): version for name, _, version in _PIN.findall(LOCK.read_text())}


def defaults() -> dict[str, str]:
    """The arguments of the build that have a value."""
    return dict(each.split("=", 1) for each in instructions("ARG") if "=" in each)


def test_one_version_of_beam() -> None:
    """The image's Beam is that of the lock file, and one that the project allows."""
    assert defaults()["BEAM"] == locked_versions()["apache-beam"]
    assert "FROM apache/beam_python3.11_sdk:${BEAM}" in DOCKERFILE.read_text()


def test_lock_is_of_this_project() -> None:
    """Every dependency that the project or its extra gcp names is locked, in a version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = locked_versions()
    for text in [*project["dependencies"], *project["optional-dependencies"]["gcp"]]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), f"{text}: run make lock"


def test_lock_has_hashes() -> None:
    """Each package has those of its files, and comes from no place that is named."""
    text = LOCK.read_text()
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", text).strip())
    assert len(blocks) == len(locked_versions()) > 50
    assert all("    --hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|^-", text, re.MULTILINE)


def test_one_version_of_python() -> None:
    """Of both base images, of the lock file, and one that the project runs on."""
    versions = set(re.findall(r"beam_python(3\.[0-9]+)_sdk", DOCKERFILE.read_text()))
    (launcher,) = re.findall(r"python3([0-9]+)-template-launcher-base", DOCKERFILE.read_text())
    (lock,) = re.findall(r"--python-version (\S+)", (TEMPLATES / "lock").read_text())
    assert versions | {f"3.{launcher}", lock} == {"3.11"}


def test_lock_installs(locked: Path) -> None:
    """In a fresh environment, with --require-hashes; what is in it is what is locked, and nothing is missing."""
    ran = subprocess.run([locked, "-m", "pip", "check"], check=False, capture_output=True, text=True, timeout=HANG_SECS)
    assert ran.returncode == 0, ran.stdout
    freeze = [locked, "-m", "pip", "freeze", "--exclude", "dovebeam"]
    found = subprocess.run(freeze, check=True, capture_output=True, text=True, timeout=HANG_SECS).stdout.split()
    versions = {canonicalize_name(name): version for name, version in (each.split("==") for each in found)}
    assert {name: locked_versions()[name] for name in versions} == versions
    assert "apache-beam" in versions


def test_copied_files() -> None:
    """Every file that the image takes exists, or is made by the documented step, and is not hidden from the build."""
    allowed = [line[1:] for line in (TEMPLATES / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    for value in instructions("COPY"):
        if value.startswith("--from="):
            continue
        for source in value.split()[:-1]:
            assert source in allowed
            assert (ROOT / source).is_file() or fnmatch.fnmatch("dist/dovebeam-0.1.0-py3-none-any.whl", source)


def test_imported_modules() -> None:
    """The modules that the build imports to see that nothing is missing are those that exist."""
    tried = [names for value in instructions("RUN") for names in re.findall(r'python -c "import ([^"]+)"', value)]
    (names,) = tried
    for name in names.split(", "):
        assert importlib.util.find_spec(name) is not None, name


@pytest.mark.parametrize("template", NAMES)
def test_entry_points(template: str) -> None:
    """The image names the one of its template, which is three lines that run the command."""
    environment = " ".join(instructions("ENV"))
    assert f"FLEX_TEMPLATE_PYTHON_PY_FILE=/template/{'${TEMPLATE}'}.py" in environment
    assert f"{IMAGE_VARIABLE}={'${IMAGE}'}" in environment
    assert instructions("WORKDIR") == ["/template"]
    code = [line for line in (TEMPLATES / f"{template}.py").read_text().splitlines() if line]
    assert code[1:] == ["from dovebeam.pipelines.template import main", f'raise SystemExit(main("{template}"))']


def test_dockerfile_is_clean() -> None:
    """Hadolint has nothing to say about it."""
    hadolint = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([hadolint, DOCKERFILE], check=False, capture_output=True, text=True, timeout=HANG_SECS)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_cloud_build() -> None:
    """All three images are built, each knows its own name, and all are pushed."""
    build: dict[str, Any] = yaml.safe_load((TEMPLATES / "cloudbuild.yaml").read_text())
    names = []
    for step in build["steps"]:
        words = step["args"]
        if "docker" not in step["name"]:
            assert " ".join([step["entrypoint"], *words]) == "python -m pip wheel --no-deps --wheel-dir dist ."
            continue
        arguments = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--build-arg")
        assert arguments["TEMPLATE"] == step["id"]
        assert arguments["IMAGE"] == words[words.index("--tag") + 1]
        assert words[words.index("--file") + 1] == "templates/Dockerfile"
        assert set(arguments) == {each for each in instructions("ARG") if "=" not in each}
        names.append(arguments["IMAGE"])
    assert names == build["images"] == [f"${{_REPOSITORY}}/{template}:${{_TAG}}" for template in NAMES]
