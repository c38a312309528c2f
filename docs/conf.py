"""How Sphinx builds the site from these pages: `make docs`.

The pages are plain Markdown, to be read on GitHub as well. What only the site has is added by the extension
`sitetools` beside this file: the navigation, from the lists of links in index.md, and the tables of the reference,
from the code.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "dovebeam"
author = "the dovebeam developers"
project_copyright = f"{author}, Apache-2.0"
version = release = version_of("dovebeam")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sitetools"]
exclude_patterns = ["sitetools"]
suppress_warnings: list[str] = []

myst_heading_anchors = 4  # as GitHub makes them
myst_enable_extensions = ["attrs_inline"]
myst_links_external_new_tab = False

smartquotes = False  # two dashes begin an option
default_role = "code"  # what docstrings mean by single backticks
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
nitpick_ignore = [
    ("py:class", "Paths"),  # a name for a union of types, which Sphinx does not look through
    ("py:class", "Script"),  # the same
    ("py:class", "dovebeam.transforms.filters.values.Value"),  # how a compiled filter keeps what it compares with
    (
        "py:class",
        "dovebeam.transforms.drivers.secrets.secret.Secret",
    ),  # what a driver makes of a setting that is a string
    ("py:class", "PipelineResult"),  # Beam's, imported for type checkers only
]
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
nitpick_ignore_regex = [(r"py:.*", r"(apache_beam|collections|datetime|ipaddress|os|pathlib|typing)\..*")]  # not ours

html_theme = "furo"
html_title = f"dovebeam {version}"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["sitetools/static"]
html_css_files = ["tables.css"]
highlight_language = "text"  # of blocks that name no language
copybutton_prompt_text = r"^\$ |^>>> |^\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"  # what is read but not typed has no button
