"""The main loop: blocks, includes, versions, groups, recovery, limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.config_text import VERSIONS, accepted, dovecot_errors, messages, metric, reading, warnings

METRIC = "metric a {\n filter = a=b\n}\n"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("}\n", ["line 3: Unexpected '}'"]),
        ("metric a {\n filter = a=b\n", ["Missing '}' (section started at x.conf:3)"]),
        ("service a {\n x {\n", ["Missing '}' (section started at x.conf:4)"]),
        ("metric a {\n filter = a=b\nmetric b {\n filter = a=b\n}\n", ["Missing '}' (section started at x.conf:3)"]),
        ("event_exporter {\n}\n", ["line 3: event_exporter { } is missing section name"]),
        ("ssl_client x {\n}\n", ["line 3: ssl_client { } must not have a section name"]),
        (
            "metric a {\n filter = a=b\n fields x {\n }\n}\n",
            ["line 5: Setting metric_fields cannot have a value for the section"],
        ),
        ("ssl_client = x\n", ["line 3: ssl_client: Setting is a named filter, use 'ssl_client {'"]),
        (
            "event_exporter __a {\n format = json\n}\n",
            [
                "line 3: Failed to set event_exporter=__a for struct stats: "
                "Named list filter name must not begin with '__': __a"
            ],
        ),
        (
            "metric a {\n filter = a=b\n protocol imap {\n }\n}\n",
            ["line 5: metric { protocol { .. } } not allowed (use protocol { metric { .. } } instead)"],
        ),
        (
            "metric a {\n filter = a=b\n metric y {\n  filter = a=b\n }\n}\n",
            [
                "Failed to get metric y: Filter metric=y unexpectedly not found "
                "(invalid userdb or -o override settings?)"
            ],
        ),
        ("metric a {\n filter = a=b\n fields = <<X\na\nX\n}\n",
         ["line 7: fields: Heredoc syntax is not supported for list settings: metric_fields"]),
        ("event_exporter x {\n format = json\n driver = <<X\nlog\nX\n}\n",
         ["line 7: driver: Heredoc syntax is not supported for this setting: event_exporter_driver"]),
        ("metric_description = <<END OF\nmetric {\n", ["line 4: Missing END OF"]),
        ("metric a {\n filter = a=b\n description = </nosuch\n}\n",
         ["line 5: description: Can't open file /nosuch: No such file or directory"]),
    ],
)  # fmt: skip
def test_structure_errors(tmp_path: Path, body: str, errors: list[str]) -> None:
    """Dovecot's messages for broken structure; nothing else is reported."""
    found = reading(tmp_path, body)
    assert dovecot_errors(found) == errors
    assert len(messages(found)) == len(errors)


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    """One reading finds them all, in the order of the file, with places, and recovers after each."""
    body = """event_exporter x {
  drivr = kafka
  format = json
  unix_connect_timeout = 250
}
metric a{
  filter = event=
  exporter = y
}
metric b
{
  fields = "a" "b"
} }
metric c { filter = a=b }
metric d {
  description = "\\d"
  filter = a=b
  group_by x {
    method foo {
      base = x
    }
    method linear {
      max = 1k
      step = 1
    }
  }
}
"""
    found = reading(tmp_path, body)
    places = [tuple(map(int, text.split(":")[1:3])) for text in messages(found)]
    assert places == [
        (4, 3), (4, 11), (6, 26), (8, 10), (9, 18), (10, 14), (12, 1), (12, 9), (14, 14), (15, 4), (16, 8), (18, 18),
        (21, 12), (25, 13),
    ]  # fmt: skip
    texts = "\n".join(messages(found))
    for part in (
        "did you mean 'driver'", "missing units", "'{' must follow", "unexpected end of",
        "there is no event_exporter 'y'", "metric b has no filter", "'\"' in the middle", "must stand alone",
        "nothing may follow '{'", "Unknown escape sequence", "unknown method 'foo'", "Invalid number 1k",
    ):  # fmt: skip
        assert part in texts


def test_swallowed_brace(tmp_path: Path) -> None:
    """A backslash before the line of the closing brace is pointed out."""
    found = reading(tmp_path, "metric a {\n filter = event=x \\\n}\n")
    assert dovecot_errors(found)[0] == "Missing '}' (section started at x.conf:3)"
    assert warnings(found)[0].startswith("x.conf:5:1: the line before ends with a backslash")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("metric a {\n filter = event=x }\n", "4:19: a '}' must stand alone"),
        ("metric a {\n filter = event=x}\nmetric b {\n filter = a=b\n}\n", "4:18: a '}' must stand alone"),
        ("metric a {\n filter = a=b\n exporter = y }\n@EXPORTER", "5:15: a '}' must stand alone"),
        ("metric a {\n filter = a=b\n exporter = y\n description = c }\n@EXPORTER", "6:18: a '}' must stand alone"),
        ("event_exporter x {\n format = json\n driver = log }\nmetric a {\n filter = a=b\n exporter = x\n}\n", "5:11: driver:"),
        ("event_exporter x {\n driver = log\n format = json }\n", "5:16: a '}' must stand alone"),
        ("event_exporter x {\n format = json\n time_format = unix }\n", "5:16: time_format:"),
        ("event_exporter x {\n format = json\n ssl_client {\n  ssl_client_ca_dir = /x }\n}\n", "6:26: a '}' must stand alone"),
        ("group @a b {\n metric_description = x }\ngroup @c d {\n}\n", "4:25: a '}' must stand alone"),
        ("metric a {\n filter = event=x }\n}\n", "4:19: metric a: filter: syntax error"),
    ],
)  # fmt: skip
def test_brace_in_the_line_of_a_value(tmp_path: Path, body: str, said: str) -> None:
    """One error, at the brace or about the value; the block counts as closed, so no other error follows."""
    target = "event_exporter y {\n format = json\n}\n"
    found = reading(tmp_path, body.replace("@EXPORTER", target))
    (problem,) = found.report.problems(fatal=True)
    assert str(problem).startswith(f"x.conf:{said}"), str(problem)
    assert "must stand alone in its line" in problem.message + problem.suggestion
    assert dovecot_errors(found)


def test_brace_that_belongs_to_a_value(tmp_path: Path) -> None:
    """Dovecot takes it for a part of the value, and if the block is closed nothing is wrong."""
    assert metric(tmp_path, "metric a {\n filter = a=b\n description = x }\n}\n").description == "x }"
    assert accepted(tmp_path, 'metric a {\n filter = a="b}"\n}\nmetric c {\n filter = a=b\n}\n')


@pytest.mark.parametrize("doubled", ["filter = event=x", "filter=event=x", "metric_filter = event=x"])
def test_doubled_name(tmp_path: Path, doubled: str) -> None:
    """One error, which says what was meant, not that the comparison needs quotes."""
    (problem,) = reading(tmp_path, f"metric a {{\n filter = {doubled}\n}}\n").report.problems(fatal=True)
    assert problem.suggestion == "'filter =' is written twice; write: filter = event=x"


def test_fragment(tmp_path: Path) -> None:
    """A file without versions may be a part of a larger configuration, of which the main file must be given."""
    (error,) = messages(reading(tmp_path, "metric a {\n filter = a=b\n}\n", versions=False))
    assert "an included part of a larger one: then give the main file instead, or first (--config MAIN" in error


def test_discarded_continuation(tmp_path: Path) -> None:
    """In a block of ours an error, elsewhere a warning; Dovecot says nothing."""
    found = reading(tmp_path, "metric a {\n filter = a=b\n description = x \\\n\n}\nlog_debug = x \\\n# y\n")
    (error,) = messages(found)
    assert error.startswith("x.conf:5:2: this line ends with a backslash")
    assert warnings(found)[0].startswith("x.conf:8:1: this line ends with a backslash")
    assert dovecot_errors(found) == []


def test_byte_order_mark(tmp_path: Path) -> None:
    """One error about the mark; the version behind it is read, whichever it is."""
    body = "\ufeffdovecot_config_version = 2.4.1\r\ndovecot_storage_version = 2.4.1\r\n"
    (error,) = messages(reading(tmp_path, body, versions=False))
    assert error.startswith("x.conf:1:1: the file starts with a byte order mark")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16(tmp_path: Path, encoding: str) -> None:
    """Is named, with the command that converts it, instead of an error about its first letter."""
    body = f"\ufeff{VERSIONS}".encode(encoding).decode("utf-8", "surrogateescape")
    (error,) = messages(reading(tmp_path, body, versions=False))
    assert "it is in UTF-16; convert it to UTF-8" in error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "The first setting must be dovecot_config_version"),
        ("base_dir = /x\n" + VERSIONS, "line 1: The first setting must be dovecot_config_version"),
        ("\ufeff" + VERSIONS, "line 1: The first setting must be dovecot_config_version"),
        ("!include y\n" + VERSIONS, "line 1: The first setting must be dovecot_config_version"),
        ("dovecot_config_version = 2.4.0\n", "dovecot_storage_version setting must be set"),
        (
            "dovecot_config_version = 2.3.21\ndovecot_storage_version = 2.4.0\n",
            "line 1: Invalid dovecot_config_version: "
            "Currently supported versions are: 2.4.0 2.4.1 2.4.2 2.4.3 2.4.4 0.0.0",
        ),
        (
            VERSIONS + "dovecot_config_version = 2.4.1\n",
            "line 3: dovecot_config_version value can't be changed once set",
        ),
    ],
)
def test_versions(tmp_path: Path, body: str, error: str) -> None:
    """What the first setting must be."""
    found = reading(tmp_path, body + METRIC, versions=False) if body else reading(tmp_path, body, versions=False)
    assert dovecot_errors(found)[0] == error
    assert len(messages(found)) == len(dovecot_errors(found))


def test_versions_may_repeat(tmp_path: Path) -> None:
    """The same version again is fine, comments before it too."""
    assert accepted(tmp_path, "dovecot_config_version = 2.4.0\n" + METRIC).metrics
    assert not reading(tmp_path, "# x\n\n" + VERSIONS + METRIC, versions=False).report.errors


# Includes


def test_includes(tmp_path: Path) -> None:
    """Globs, relative names, blocks that go over files, and names with spaces."""
    files = {
        "conf.d/20.conf": "metric c {\n filter = c=1\n",
        "conf.d/10.conf": "metric b {\n filter = b=1\n}\n!include sub/e f\n",
        "conf.d/.hidden.conf": "garbage\n",
        "conf.d/sub/e f": "metric e {\n filter = e=1\n}\n",
        "body.inc": "filter = a=1 \\\n",
    }
    body = "metric a {\n!include body.inc\n  AND x=1\n}\n!include conf.d/*.conf\nfields = z\n}\n!include_try no*\n!include\n"
    config = accepted(tmp_path, body, files=files)
    assert [(m.name, m.filter.text, m.fields) for m in config.metrics] == [
        ("a", "a=1 AND x=1", ()),
        ("b", "b=1", ()),
        ("e", "e=1", ()),
        ("c", "c=1", ("z",)),
    ]


def test_include_errors(tmp_path: Path) -> None:
    """Recursion, missing files, unreadable files; errors name the included file."""
    files = {"r.inc": "\n!include r.inc\n", "bad.inc": "\nmetric a {\n filter = a=b\n nosuch = 1\n}\n"}
    body = '!include r.inc\n!include_try bad.inc\n!include no.inc\n!include "r.inc"\n!include = x\n!include conf.d\n'
    (tmp_path / "conf.d").mkdir()
    assert dovecot_errors(reading(tmp_path, body, files=files)) == [
        "Error in configuration file r.inc line 2: Recursive include file: r.inc",
        "Error in configuration file bad.inc line 4: "
        "nosuch: Unknown setting: nosuch (metric_nosuch or metric_a_nosuch not found either.)",
        "line 5: No matches",
        "line 6: No matches",
        "line 7: No matches",
    ]


def test_includes_have_limits(tmp_path: Path) -> None:
    """Files that include each other under changing names, and includes without end, stop."""
    files = {f"d/{i}.inc": "".join(f"!include {j}.inc\n" for j in range(20)) for i in range(20)}
    files |= {"a.inc": "!include ./a.inc\n"}
    found = reading(tmp_path, "!include a.inc\n!include d/*.inc\n", files=files)
    assert any("include each other" in text for text in messages(found))
    assert len(messages(found)) == 101
    assert messages(found)[-1].endswith("more errors are not shown")


# Groups


def test_groups(tmp_path: Path) -> None:
    """A group's settings and blocks come under those of the block, whatever the order."""
    body = """group @metric common {
  fields = a
  description = d
  group_by z {
  }
}
metric a {
  filter = a=1
  fields = b
  @metric = common
}
metric b {
  @metric = "common"
  filter = b=1
}
group @x exporters {
  event_exporter e {
    format = json
  }
  metric c {
    filter = c=1
    exporter = e
  }
  event_exporter_time_format = unix
}
@x = exporters
metric c {
  description = own
}
"""
    config = accepted(tmp_path, body)
    assert [(m.name, m.fields, m.description, [g.field for g in m.group_by]) for m in config.metrics] == [
        ("a", ("b",), "d", ["z"]),
        ("b", ("a",), "d", ["z"]),
        ("c", (), "own", []),
    ]
    assert config.exporters["e"].time_format == "unix"


def test_groups_that_nobody_includes_are_not_checked(tmp_path: Path) -> None:
    """A broken filter or an unknown exporter in there does no harm."""
    body = "group @x y {\n metric a {\n  filter = = =\n  exporter = no\n }\n event_exporter z {\n }\n}\n"
    assert not accepted(tmp_path, body).metrics


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("@metric = a\n", "line 3: Unknown group label @metric"),
        ("group @m a {\n}\n@m = b\n", "line 5: Unknown group @m=b"),
        ("group @m a {\n}\n@m = $ENV:A\n", "line 5: Include groups cannot contain $variables"),
        ("group @m a {\n @m = a\n}\n", "line 4: Recursive include groups not allowed"),
        ("service x {\n group @m a {\n }\n}\n", "line 4: groups must defined at top-level, not under filters"),
        (
            "group @metric g {\n filter = a=b\n}\nmetric a {\n @metric = g\n}\n",
            "line 8: Named filter metric is required to have metric_filter setting, but it is missing",
        ),
    ],
)
def test_group_errors(tmp_path: Path, body: str, error: str) -> None:
    """Dovecot's messages about groups."""
    assert dovecot_errors(reading(tmp_path, body))[0] == error


@pytest.mark.parametrize(("version", "sessions"), [("2.4.1", False), ("2.4.2", True), ("0.0.0", True)])
def test_built_in_groups(tmp_path: Path, version: str, sessions: bool) -> None:
    """Their metrics are exported if there is a default exporter, and may be opened again without a filter."""
    body = (
        f"dovecot_config_version = {version}\ndovecot_storage_version = 2.4.0\nmetric_exporter = x\n"
        "@metric_defaults = proxy\n@metric_defaults = backend\nmetric auth_successes {\n exporter =\n}\n"
        "event_exporter x {\n format = json\n}\n"
    )
    found = reading(tmp_path, body, versions=False)
    assert messages(found) == []
    names = {metric.name: metric.exporter for metric in found.config.metrics}
    assert names["auth_successes"] == ""
    assert names["mail_deliveries"] == names["login_aborted"] == "x"
    assert ("proxy_session_established" in names) is sessions


# Several files


def overlay(folder: Path, text: str) -> list[str | Path]:
    """The paths of a complete file and another that continues it."""
    base = "event_exporter x {\n driver = log\n format = json\n}\nmetric a {\n filter = a=b\n exporter = x\n}\n"
    (folder / "base.conf").write_text(VERSIONS + base)
    (folder / "more.conf").write_text(text)
    return [folder / "base.conf", folder / "more.conf"]


def test_several_files(tmp_path: Path) -> None:
    """A later file needs no versions, continues blocks and overrides settings, with dovebeam's extensions."""
    from dovebeam.transforms.config import load_config

    text = "event_exporter x {\n log_target = syslog:/dev/log\n log_facility = local3\n time_format = unix\n}\n"
    config = load_config(overlay(tmp_path, text))
    settings_of_x = config.exporters["x"].settings
    assert config.exporters["x"].time_format == "unix"
    assert settings_of_x.text("event_exporter_log_target") == "syslog:/dev/log"
    assert settings_of_x.text("event_exporter_log_facility") == "local3"
    assert str(settings_of_x.place("event_exporter_log_target")) == f"{tmp_path}/more.conf:2"


def test_a_block_ends_in_its_file(tmp_path: Path) -> None:
    """An open block of one file isn't continued by the next one; errors name the right file."""
    from dovebeam.transforms.config.loading import read_config

    found = read_config(overlay(tmp_path, "metric b {\n"), environ={})
    assert messages(found)[0].startswith(f"{tmp_path}/more.conf:1:1: this block is never closed")
    missing = read_config([tmp_path / "nosuch.conf", tmp_path / "base.conf"], environ={})
    assert messages(missing) == [f"{tmp_path}/nosuch.conf: can't read the configuration: No such file or directory"]
    folder = read_config(tmp_path, environ={})
    assert messages(folder) == [f"{tmp_path}: can't read the configuration: Is a directory"]


# Hostile input


@pytest.mark.parametrize(
    "body",
    [
        "a_b {\n" * 20_000,
        "metric a {\n" * 20_000,
        "protocol stats {\n" * 20_000,
        "}\n" * 20_000,
        "metric a {\n filter = a=b \\\n" + " OR a=b \\\n" * 5_000,
        "metric a {\n description = " + "$SET:x " * 20_000 + "\n",
        "".join(f"x{i} = $SET:x{i + 1} $SET:x{i + 1}\n" for i in range(60))
        + "metric a {\n filter = a=b\n description = $SET:x20\n}\n",
        "metric a {\n filter = a=b\n"
        + "description = $SET:metric_description $SET:metric_description x\n" * 40
        + "}\n",
        "metric a {\n description = " + "%{" * 50_000 + "\n",
        'metric a {\n description = "' + '\\"' * 50_000 + "\n",
        "".join(f"metrik_{i} = x\n" for i in range(5_000)),
        "group @g h {\n" + "metric m {\n" * 90 + "}\n" * 91 + "@g = h\n" * 500,
    ],
    ids=range(12),
)
def test_hostile_input_ends(tmp_path: Path, body: str) -> None:
    """Deep, long, doubling or endless input is refused or read, in little time and without a crash."""
    found = reading(tmp_path, body)
    assert len(messages(found)) <= 101


SOUP = st.lists(
    st.sampled_from(
        [
            "metric a {", "event_exporter x {", "group_by f {", "method linear {", "fields {", "exporter_include {", "}",
            "group @metric g {", "@metric = g", "@metric_defaults = proxy", "protocol stats {", "ssl_client {",
            "filter = a=b", "filter = $SET:metric_description", "description = $SET:metric_filter", "format = json",
            "driver = http-post", "name = %{env:X}", "fields = a \"b", "x = yes", "max = 5", "exporter = x", "a = <<E", "E",
            "{", "metric = x", "\"", "a \\", "filter = \"", "!include x.conf", "description = %{", "} }", "plugin {",
        ]
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SOUP)
def test_any_sequence_of_lines_is_read(tmp_path: Path, lines: list[str]) -> None:
    """Whatever the order of lines, reading ends with a configuration and a report, never with a crash."""
    found = reading(tmp_path, "\n".join(lines) + "\n")
    assert found.config.exporters is not None
    for text in messages(found) + warnings(found):
        assert text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_are_read(tmp_path: Path, data: bytes) -> None:
    """Also if they are no text at all."""
    found = reading(tmp_path, "metric a {\n" + data.decode("utf-8", "surrogateescape"))
    assert found.report.errors


def test_latin_1_survives(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 go through unchanged, and can be shown in a problem."""
    body = b"metric a {\n filter = a=b\n description = caf\xe9\n}\n".decode("utf-8", "surrogateescape")
    assert metric(tmp_path, body).description.encode("utf-8", "surrogateescape") == b"caf\xe9"
