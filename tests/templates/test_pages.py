"""What the pages about templates and schedules say in words and tables, against the files that they speak of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from dovebeam.pipelines.options.spellings import ELSEWHERE, GOOGLES, camel_case
from support.jobs.flex_templates import NAMES, ROOT, TEMPLATES
from support.pages.documented_cloud import understand_docker, understand_gcloud, understand_terraform, understand_wheel

TEMPLATES_PAGE = (ROOT / "docs" / "templates.md").read_text()
SCHEDULES_PAGE = (ROOT / "docs" / "schedules.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table that begins so."""
    lines = page[page.index(f"| {heading} |") :].splitlines()
    table = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_spellings() -> None:
    """Google's names and ours are those of the code; names that mean nothing here are all mentioned."""
    said: dict[str, str] = {}
    for names, options in rows(TEMPLATES_PAGE, "Google's name"):
        ours = re.findall(r"`(--\w+)`", options)
        theirs = [f"--{name}" for name in re.findall(r"`(\w+)`", names)]
        said |= zip(theirs, ours * (len(theirs) // len(ours)), strict=True)
    assert {name: option for name, option in said.items() if camel_case(option) != name} == GOOGLES
    assert all(f"`{name[2:]}`" in TEMPLATES_PAGE for name in ELSEWHERE)


def test_tables() -> None:
    """Templates, alerts, accounts and DAGs are those that exist."""
    assert [row[0].strip("`") for row in rows(TEMPLATES_PAGE, "template")] == NAMES
    alerts = sorted(path.stem for path in (TEMPLATES / "monitoring" / "alerts").iterdir())
    assert sorted(row[0].strip("`") for row in rows(TEMPLATES_PAGE, "alert")) == alerts
    accounts = re.findall(r'account_id\s+= "([\w-]+)"', (TEMPLATES / "terraform" / "accounts.tf").read_text())
    assert [re.findall(r"`([\w-]+)`", row[0])[0] for row in rows(TEMPLATES_PAGE, "account")] == accounts
    dags = sorted(row[0].strip("`") for row in rows(SCHEDULES_PAGE, "file"))
    assert dags == sorted(["airflow_beam.py", "airflow_flex_template.py"])
    for name, operator, _ in rows(SCHEDULES_PAGE, "file"):
        assert f"{operator.strip('`')}(" in (TEMPLATES / "schedules" / name.strip("`")).read_text()


WRONG = [
    (understand_gcloud, "gcloud dataflow flex-template run x --template-file-gcs-location=gs://b/replay-1.json --rejion=x --parameters=config=gs://b/c"),
    (understand_gcloud, "gcloud dataflow flex-template run x --template-file-gcs-location=gs://b/replay-1.json --parameters=config=gs://b/c"),
    (understand_gcloud, "gcloud dataflow flex-template run x --template-file-gcs-location=gs://b/export-1.json --parameters=config=gs://b/c,inputFilePattern=/tmp/x,invalidOutputPath=gs://b/r"),
    (understand_gcloud, "gcloud dataflow flex-template run x --template-file-gcs-location=gs://b/export-1.json --parameters=config=gs://b/c,inputFilePattern=gs://b/x,invalidOutputPath=gs://b/r,rate=5"),
    (understand_gcloud, "gcloud monitoring policies create --policy-from-file=templates/monitoring/alerts/none.json"),
    (understand_gcloud, "gcloud dataflow flexible-template run x"),
    (understand_gcloud, """gcloud scheduler jobs create http x --message-body='{"argument": "{}"}'"""),
    (understand_terraform, "terraform -chdir=templates/terraform apply -var project=p -var config=c"),
    (understand_terraform, "terraform -chdir=templates/terraform apply -var project=p -var config=c -var repository=r -var typo=x"),
    (understand_docker, "docker build --file templates/Dockerfile --build-arg TEMPLATE=replay ."),
    (understand_wheel, "python -m pip wheel ."),
]  # fmt: skip


@pytest.mark.parametrize(("check", "command"), WRONG)
def test_checks_of_commands_find_mistakes(check: Callable[[str], None], command: str) -> None:
    """A flag, file, parameter, value or variable that does not exist, and one that is missing."""
    with pytest.raises((AssertionError, KeyError)):
        check(command)
