"""Configurations with a marked secret somewhere, spelt rightly or wrongly in some way."""

from __future__ import annotations

import random
from typing import NamedTuple

from dovebeam.transforms.config import SETTINGS

__all__ = ["Placed", "place_secret"]

_VERSIONS = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
_METRIC = "metric m {\n  filter = event=x\n  exporter = x\n}\n"
_FOREIGN = (
    "passdb sql {\n  %s\n}",
    "passdb static {\n  fields {\n    %s\n  }\n}",
    "mysql db {\n  %s\n}",
    "import_environment {\n  %s\n}",
    "service stats {\n  inet_listener http {\n    %s\n  }\n}",
    "dict_server {\n  dict quota {\n    %s\n  }\n}",
    "plugin {\n  %s\n}",
    "nosuch block {\n  %s\n}",
    "%s",
)
_FOREIGN_KEYS = (
    "password", "connect", "passdb_ldap_auth_password", "USER_PASSWORD", "auth_policy_hash_nonce", "redis_password",
    "frobnicate", "driver", "filter", "mail_crypt_user_key_password", "oauth2_client_secret", "ssl_server_key",
    "doveadm_password", "name", "format",
)  # fmt: skip
_GUARDED = [name for name, row in SETTINGS.items() if not row.is_public and name != "event_exporter_http_post_headers"]
_REPEATED = ("name", "exporter", "filter", "fields", "description", "exporter_include", "known_names")
_PUBLIC = ("driver = log", "file_path = /x/y", "format = json", "time_format = unix", "log_rate_limit = 5")
_GLUED = ("file_path = /x", "driver = log", "format = json", "unix_path = /s", "http_client_user_agent = me")


class Placed(NamedTuple):
    """A configuration in files, an environment, and what must not be shown of it."""

    files: dict[str, str]
    environ: dict[str, str]
    secret: str


def place_secret(rng: random.Random) -> Placed:
    """A configuration with a secret in a random place of it."""
    secret = _secret(rng)
    written = _written(rng, secret)
    ways = (_in_exporter, _in_headers, _in_foreign, _glued, _outside, _for_another)
    lines = rng.choice(ways)(rng, written)
    files = {"secret": secret, "x.conf": lines}
    if rng.random() < 0.15:
        files["part.conf"], files["x.conf"] = lines, f"{_VERSIONS}{_METRIC}!include part.conf\n"
    elif rng.random() < 0.15:
        files["x.conf"], files["y.conf"] = f"{_VERSIONS}event_exporter x {{\n  format = json\n}}\n{_METRIC}", lines
    else:
        files["x.conf"] = _VERSIONS + lines + _METRIC
        if rng.random() < 0.1:
            files["x.conf"] = files["x.conf"].removeprefix(_VERSIONS)
        elif rng.random() < 0.2:  # what is not known may be of a later Dovecot
            files["x.conf"] = files["x.conf"].replace("config_version = 2.4.0", "config_version = 2.4.9")
    return Placed(files, {"SECRET": secret}, secret)


def _secret(rng: random.Random) -> str:
    """Mixed letters and digits, so that no name looks like it; always something that occurs nowhere else."""
    length = rng.randint(6, 12)
    body = "".join(rng.choice("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))
    secret = f"Zq7{body}9X"
    return secret if rng.random() < 0.7 else secret.lower()


def _written(rng: random.Random, secret: str) -> str:
    """The value as somebody writes it."""
    return rng.choice(
        (
            "%s", "%s", "%s", '"%s"', "'%s'", '"%s', '%s"', '"a" "%s"', '"%s\\n"', "%s==", "Bearer %s", "Bearer  %s ",
            "%s \\", "%s\\", "a \\\n    %s", "a \\\n    b = %s", "\n    %s", "\n    %s==", "\n    = %s", "<<E\n%s\nE",
            "<<E\n%s", "<<%s\nx", "<%s", "<secret", "<./%s/x", "a#%s", "%s#x", "x # %s", "%s # x", "$SET:%s",
            "$SET:a_b/%s x", "$ENV:SECRET", "%%{%s", "%%{env:SECRET}", "%%{env:%s | nosuch}", "%%{%s}",
            "%%{env:A | default('%s')", "%%{env:A | default('%s')}", "https://u:%s@h/in", "https://u:a/%s@h/",
            "https://u:a b%s@h/", "https://h/?token=%s", "https://h/?a b=%s", "https://h:%s/", "ftp://%s@h", "https:/%s",
            "//%s@h", "https://u:a?%s@h/", "https://u:a#%s@h/", "file:%s", "gsm:%s", "{ %s }",
            "%s {", "%s }", "{ a = %s }", "%s = x", "= %s", "x, %s", "x\0%s", "\u00e9%s", "%s\u00e9", "%s, %s", "-1%s",
        )
    ).replace("%s", secret).replace("%%", "%")  # fmt: skip


def _misspelt(rng: random.Random, key: str) -> str:
    at = rng.randrange(len(key))
    return rng.choice(
        (
            key, key, key, key[:at] + key[at + 1 :], key[:at] + key[at] + key[at:], key.upper(), key.replace("_", "-"),
            key[:at] + rng.choice("aex") + key[at + 1 :], f"{key}s", f'"{key}"', f'"{key}', key.replace("_", " ", 1),
            key.title(), f"x_{key}", key.replace("_", ""), f"// {key}", f"; {key}", f"${key}", f"@{key}",
            f"metric/{key}", f"event_exporter/x/{key}",
        )
    )  # fmt: skip


def _line(rng: random.Random, key: str, value: str) -> str:
    between = rng.choice(
        (" = ", " = ", " = ", "=", " ", ": ", " == ", " := ", " => ", f" = {key} = ", " =\n    ", " \\\n  = ")
    )
    end = rng.choice(("", "", "", "", " \\", " \\\n", " \\\n # x", " ;", " }", " {"))
    return f"{_misspelt(rng, key)}{between}{value}{end}"


def _exporter_key(rng: random.Random) -> str:
    key = rng.choice(_GUARDED)
    return key.removeprefix("event_exporter_") if rng.random() < 0.8 else key


def _in_exporter(rng: random.Random, value: str) -> str:
    lines = [*rng.sample(_PUBLIC, 2), f"driver = {rng.choice(('http-post', 'log', 'file', 'fiel'))}"]
    lines.insert(rng.randint(0, 3), _line(rng, _exporter_key(rng), value))
    if rng.random() < 0.5:
        lines.append("http_post_url = https://h/")
    if rng.random() < 0.05:
        return f"event_exporter x {{ {lines[-1]} {_line(rng, _exporter_key(rng), value)} }}\n"
    opening = rng.choice(
        ("event_exporter x {",) * 8
        + ("event_exporter {", "event_exporter x\n{", "event_exporter x", "evnt_exporter x {")
    )
    closing = "}" if rng.random() < 0.95 else ""
    return opening + "".join(f"\n  {line}" for line in lines) + f"\n{closing}\n"


def _for_another(rng: random.Random, value: str) -> str:
    """In a setting whose name is nearly that of one whose value many texts repeat."""
    key = rng.choice(_REPEATED)
    at = rng.randrange(1, len(key))
    wrong = rng.choice(
        (f"r{key}", f"{key}e", key[:at] + key[at - 1 :], f"{key[:at]}x{key[at:]}", f"{key[:at]}-{key[at:]}")
    )
    line = f"{wrong}{rng.choice((' = ', '=', ' =  '))}{value}"
    if rng.random() < 0.3:
        return f"event_exporter x {{\n  format = json\n  {line.replace(wrong, 'rname')}\n}}\n"
    body = rng.choice(
        ("filter = event=x\n  exporter = x", "exporter = x", "filter = event=x\n  exporter = y", "filter = ((")
    )
    inner = (
        f"  {line}\n" if rng.random() < 0.8 else f"  group_by a {{\n    method linear {{\n      {line}\n    }}\n  }}\n"
    )
    return f"event_exporter x {{\n  format = json\n}}\nmetric n {{\n  {body}\n{inner}}}\n"


def _in_headers(rng: random.Random, value: str) -> str:
    name = rng.choice(
        ("Authorization", "X-Api-Key", "driver", "format", "x y", "filter", "@x", "http_post_url", "fields")
    )
    between = rng.choice((" = ", " = ", " = ", "=", " ", ": ", " = \\\n  ", " =\n  "))
    end = rng.choice(("", "", "", " \\", " \\\n", " {", " }"))
    block = rng.choice(
        (
            "http_post_headers {",
            "http_post_headers {",
            "http_post_header {",
            "http_post_headers x {",
            "http_post_headers",
        )
    )
    inner = f"    {name}{between}{value}{end}\n"
    if rng.random() < 0.1:
        inner = f"  group @a b {{\n{inner}  }}\n"
    return (
        f"event_exporter x {{\n  driver = http-post\n  format = json\n  http_post_url = https://h/\n  {block}\n{inner}"
        f"  }}\n}}\n"
    )


def _in_foreign(rng: random.Random, value: str) -> str:
    block = rng.choice(_FOREIGN) % _line(rng, rng.choice(_FOREIGN_KEYS), value)
    return f"{block}\nevent_exporter x {{\n  format = json\n}}\n"


def _glued(rng: random.Random, value: str) -> str:
    """After a line that ends with a backslash."""
    key = _misspelt(rng, _exporter_key(rng)).replace(" ", "")
    return f"event_exporter x {{\n  format = json\n  {rng.choice(_GLUED)} \\\n  {key} = {value}\n}}\n"


def _outside(rng: random.Random, value: str) -> str:
    """At the top level, in a metric, in a group, in a block inside, or through a reference."""
    key = rng.choice(_GUARDED)
    line = _line(rng, key, value)
    return rng.choice(
        (
            f"{line}\nevent_exporter x {{\n  format = json\n}}\n",
            f"event_exporter x {{\n  format = json\n}}\nmetric n {{\n  filter = event=x\n  {line}\n}}\n",
            f"event_exporter x {{\n  format = json\n  ssl_client {{\n    {line}\n  }}\n}}\n",
            f"event_exporter x {{\n  format = json\n  event_exporter_http_post {{\n    {line}\n  }}\n}}\n",
            f"group @a b {{\n  {line}\n}}\n@a = b\nevent_exporter x {{\n  format = json\n}}\n",
            f"a_secret = {value}\nevent_exporter x {{\n  format = json\n  driver = http-post\n"
            f"  {key.removeprefix('event_exporter_')} = $SET:a_secret\n}}\n",
            f"sql_secret = {value}\nevent_exporter x {{\n  format = json\n  time_format = $SET:sql_secret\n"
            f"  http_client_user_agent = $SET:sql_secret\n}}\n",
            f"# {line}\nevent_exporter x {{\n  format = json # {value}\n  driver = fiel # {value}\n}}\n",
            f"{line}\n{{\n}}\nevent_exporter x {{\n  format = json\n}}\n",
        )
    )  # fmt: skip
