"""The types of the public API, as the code of somebody who uses it sees them."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import dovebeam.transforms as public
from dovebeam.transforms import testing
from support.programs import HANG_SECS

HERE = Path(__file__).parent
CHECK = "--strict --config-file= --no-error-summary --namespace-packages --explicit-package-bases".split()


def environment() -> dict[str, str]:
    """Where mypy finds dovebeam: by itself if it is installed, or else where this process has it from."""
    root = Path(str(public.__file__)).parents[2]
    return {**os.environ, "MYPYPATH": "" if "site-packages" in root.parts else str(root)}


def test_types(tmp_path: Path) -> None:
    """The example passes under mypy --strict, with no setting of ours; beside it every wrong line is refused."""
    command = [sys.executable, "-m", "mypy", *CHECK, "--follow-imports=silent", f"--cache-dir={tmp_path}"]
    files = [str(HERE / "api.py"), str(HERE / "wrong.py")]
    done = subprocess.run(
        [*command, *files],
        capture_output=True,
        text=True,
        timeout=HANG_SECS,
        check=False,
        env=environment(),
        cwd=tmp_path,
    )
    assert "api.py" not in done.stdout, done.stdout
    found = {int(line) for line in re.findall(r"wrong\.py:([0-9]+): error:", done.stdout)}
    (mistakes,) = [
        node for node in ast.parse((HERE / "wrong.py").read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    assert found == {statement.lineno for statement in mistakes.body[1:]}, done.stdout + done.stderr


def test_the_example_uses_every_public_name() -> None:
    """A name that is added to a public list is added to the example, too."""
    used = {node.id for node in ast.walk(ast.parse((HERE / "api.py").read_text())) if isinstance(node, ast.Name)}
    assert {*public.__all__, *testing.__all__} <= used
