"""Colours for blocks of a dovecot.conf, which Pygments does not know."""

from __future__ import annotations

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Operator, Punctuation, String, Whitespace

__all__ = ["DovecotConf"]


class DovecotConf(RegexLexer):
    """Comments, blocks with their names, settings with their values."""

    name = "dovecot.conf"
    aliases = ("conf",)
    tokens = {  # noqa: RUF012  as Pygments has it
        "root": [
            (r"\s+", Whitespace),
            (r"#.*", Comment),
            (r"![a-z_]+", Keyword, "value"),
            (r"([^\s=#{}]+)(\s*)(=)", bygroups(Name.Attribute, Whitespace, Operator), "value"),
            (r"([^\s=#{}]+)([^\n={}]*)(\{)", bygroups(Keyword, Name.Class, Punctuation)),
            (r"[{}]", Punctuation),
            (r".", String),
        ],
        "value": [(r"\n", Whitespace, "#pop"), (r"[^\n]+", String)],
    }
