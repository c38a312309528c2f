"""The site: it builds without a warning, no link of it or of the raw pages is dead, and its reference is complete."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from docs.html_pages import Page, read_site
from docs.markdown_pages import HOSTS, anchors_of, exists, links_of

import dovebeam.transforms
from dovebeam.pipelines import command_line
from dovebeam.pipelines.ledger.ledger import Ledger
from dovebeam.pipelines.terminal.exit_codes import MEANINGS, ExitCode
from dovebeam.transforms import testing, yaml
from dovebeam.transforms.config import SETTINGS
from dovebeam.transforms.counters import COUNTERS
from sitetools import commands, contents, links, reference, settings_tables
from sitetools.tables import anchor_of
from support.pages.documents import ROOT, pages
from support.programs import HANG_SECS

MARKDOWN = [*pages(), *(name for name in ("CHANGELOG.md",) if (ROOT / name).is_file())]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--fresh-env"]
    command += ["--quiet", "--doctree-dir", str(folder / "trees"), str(ROOT / "docs"), str(folder / "html")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANG_SECS, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr.replace("WARNING:root:", "")  # what Beam logs on its import
    return read_site(folder / "html")


def test_make_docs_builds_what_is_tested() -> None:
    """The target of the Makefile has the same options."""
    recipe = (ROOT / "Makefile").read_text().partition("\ndocs:")[2].partition("\n\n")[0]
    for option in ("--fail-on-warning", "--keep-going", "--nitpicky", "--fresh-env"):
        assert option in recipe


def test_every_page_is_built_and_has_a_title(site: dict[str, Page]) -> None:
    """Each Markdown file below docs/ is a page."""
    sources = {str(path.relative_to(ROOT / "docs").with_suffix(".html")) for path in (ROOT / "docs").rglob("*.md")}
    assert sources <= site.keys()
    assert all("<no title>" not in site[page].text for page in sources)


def test_no_dead_links_on_the_site(site: dict[str, Page]) -> None:
    """Every link within the site leads to a file and, if it names a part, to an id in it."""
    files = {page.path for page in site.values()}
    dead = [
        (page.path, path, anchor)
        for page in site.values()
        for path, anchor in page.targets()
        if path.endswith(".html") and (path not in files or (anchor and anchor not in site[path].ids))
    ]
    assert dead == []
    assert sum(len(page.targets()) for page in site.values()) > 500


def test_every_page_is_in_the_navigation(site: dict[str, Page]) -> None:
    """From the index, and from any page, one comes to all others."""
    wanted = {str(path.relative_to(ROOT / "docs").with_suffix(".html")) for path in (ROOT / "docs").rglob("*.md")}
    for page in ("index.html", "reference/settings.html"):
        assert wanted - {"index.html"} <= {path for path, _ in site[page].targets()}, page


@pytest.mark.parametrize("page", MARKDOWN)
def test_no_dead_links_on_github(page: str) -> None:
    """Every relative link of a raw page leads to a file of the project and, if it names a part, to a heading."""
    for link in links_of(page):
        if link.is_external:
            continue
        assert exists(link.file), f"{page}:{link.line}: {link.target}"
        if link.anchor and link.file.endswith(".md"):
            assert link.anchor in anchors_of(link.file), f"{page}:{link.line}: {link.target}"


def test_external_links() -> None:
    """Links to other hosts are https, and to hosts that somebody has looked at; none of these is left over."""
    found = [link for page in MARKDOWN for link in links_of(page) if link.is_external]
    for link in found:
        url = urlsplit(link.target)
        assert url.scheme == "https", link
        assert url.hostname in HOSTS, link
        assert not re.search(r"\s", link.target), link
    print("\n".join(sorted({link.target for link in found})))


def test_every_page_can_be_found_on_github() -> None:
    """From README.md, links of raw pages lead to all of them."""
    seen, waiting = set[str](), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.endswith(".md"):
            continue
        seen.add(page)
        waiting += [link.file for link in links_of(page) if not link.is_external]
    assert set(MARKDOWN) - seen == set()


def test_every_setting_is_in_the_reference(site: dict[str, Page]) -> None:
    """Each has an entry that links can lead to, in exactly one table."""
    assert set(map(anchor_of, SETTINGS)) <= site["reference/settings.html"].ids
    tables = {name: settings_tables.settings(name) for name in settings_tables.GROUPS}
    for name in SETTINGS:
        assert sum(f"{{#{anchor_of(name)}}}" in text for text in tables.values()) == 1, name


def test_every_command_and_option_is_in_the_reference(site: dict[str, Page]) -> None:
    """Each command has its part, and each of its options an entry with a help text that says something."""
    page = site["reference/commands.html"]
    for name in command_line._COMMANDS:
        assert f"dovebeam-{name}" in page.ids
        for action in commands.parser_of(name)._actions:
            if action.help != "==SUPPRESS==":
                assert anchor_of(f"{name}-{action.dest}") in page.ids, (name, action.dest)
                assert len(action.help.split()) >= 3, (name, action.dest)


def test_every_exit_code_is_in_the_reference(site: dict[str, Page]) -> None:
    """Each code of the enum has a meaning, which the page and the help of `dovebeam` show."""
    assert MEANINGS.keys() == set(ExitCode)
    for text in MEANINGS.values():
        assert text in site["reference/commands.html"].text


@pytest.mark.parametrize(
    ("module", "page"), [(dovebeam.transforms, "reference/api.html"), (testing, "reference/testing.html")]
)
def test_every_public_name_is_in_the_reference(site: dict[str, Page], module: ModuleType, page: str) -> None:
    """What a module makes public is there by that name."""
    assert [name for name in module.__all__ if f"{module.__name__}.{name}" not in site[page].ids] == []


def test_every_transform_for_beam_yaml_is_in_the_reference(site: dict[str, Page]) -> None:
    """Each transform of the package has its part, and each of its arguments an entry."""
    ids = site["reference/yaml.html"].ids
    for name in yaml.__all__:
        assert {anchor_of(f"{name}-{key}") for key in inspect.signature(getattr(yaml, name)).parameters} <= ids, name


def test_every_counter_is_in_the_reference(site: dict[str, Page]) -> None:
    """The counters that the code adds to are those of the table, and the table is on the page."""
    counted = set()
    for path in [*(ROOT / "transforms").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2 or not isinstance(node.args[0], ast.Constant):
                continue
            if ast.unparse(node.func) in {"counters.add", "add"}:
                counted.add(f"{node.args[0].value}{'/' if len(node.args) == 3 else ''}")
    known = {re.sub(r"/[A-Z]+$", "/", name) for name in COUNTERS}
    assert counted == known - {
        "rejects_accounted",
        "reject_reason/",
    }  # these by constants, in pipelines/jobs/reject_sink.py
    for name in COUNTERS:
        assert name in site["reference/ledger.html"].text


def test_every_member_of_a_ledger_is_on_its_page() -> None:
    """What `--ledger` writes is explained, and nothing else."""
    page = (ROOT / "docs/reference/ledger.md").read_text().partition("## Equations")[0]
    members = Ledger(0, 0, 0, 0, 0, (), (), {}, 0).as_dict()
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == members.keys()
    assert all(f"`{name}`" in page for name in members["rejected"])


def test_navigation_from_lists() -> None:
    """Only links at the begin of a list's line are entries, under the heading before them; what has none is left out."""
    index = "# t\n[a](a.md)\n## One\n- [b](b.md) and [c](c.md)\n- [d](x/d.md)\n## None\ntext\n## Two\n- [e](e.md#part)\n- [f](f.md)"
    assert list(contents.sections(index)) == [("One", ["b", "x/d"]), ("Two", ["f"])]
    assert ":caption: One\n\nb\nx/d\n" in contents.toctrees(index)


def test_pages_with_lists(tmp_path: Path) -> None:
    """A page is an index by its name, or by a folder of its name."""
    (tmp_path / "decisions").mkdir()
    found = [
        contents.is_index(page, tmp_path) for page in ("index", "howto/index", "decisions", "decisions/files", "files")
    ]
    assert found == [True, True, True, False, False]


def test_every_decision_is_in_the_index() -> None:
    """docs/decisions.md has a line for each heading of the topic pages, in their order, under the title of the topic."""
    index = (ROOT / "docs/decisions.md").read_text("utf-8")
    topics = re.findall(r"^- \[(.+)\]\((decisions/[a-z-]+\.md)\): ", index, re.MULTILINE)
    assert {path for _, path in topics} == {f"decisions/{path.name}" for path in (ROOT / "docs/decisions").iterdir()}
    for title, path in topics:
        listed = re.findall(rf"^- \[(.+)\]\({re.escape(path)}#", index.partition(f"\n## {title}\n")[2], re.MULTILINE)
        assert listed == re.findall(r"^## (.+)$", (ROOT / "docs" / path).read_text("utf-8"), re.MULTILINE), path


def test_links_out_of_the_pages(tmp_path: Path) -> None:
    """On the site a link to a file at the project's top leads to its page, and a page that stands for one has its text."""
    assert links.within_site("[a](../README.md#x) [b](other.md)", "page") == "[a](index.md#x) [b](other.md)"
    assert links.within_site("[a](../../CHANGELOG.md)", "reference/api") == "[a](../changelog.md)"
    (tmp_path / "docs").mkdir()
    (tmp_path / "CHANGELOG.md").write_text("# C\n[a](docs/files.md#x)\n")
    page = "# C\nsee there\n<!-- instead: ../CHANGELOG.md -->\n"
    assert links.page_instead(page, tmp_path / "docs") == "# C\n[a](files.md#x)\n"
    assert links.page_instead("text", tmp_path / "docs") == "text"


@pytest.mark.parametrize("comment", ["nonsense", "settings", "settings nonsense", "command nonsense"])
def test_references_that_cannot_be_filled(comment: str) -> None:
    """A comment that asks for what there is not stops the build, and says where it stands."""
    with pytest.raises(ValueError, match=r"page: <!-- reference: "):
        reference.filled(f"text\n<!-- reference: {comment} -->\n", "page")
