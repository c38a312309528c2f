"""Rows of the table of settings: blocks `event_exporter NAME`, Dovecot's settings and dovebeam's extensions.

Dovecot's rows are those of its configuration language, section "Setting tables".
"""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.config.setting import Setting
from dovebeam.transforms.config.types import Kind
from dovebeam.transforms.formats import FORMAT_NAMES, TIME_FORMATS

__all__ = ["DRIVER_NAMES", "EXPORTER_ROWS"]

DRIVER_NAMES: Final = ("log", "file", "unix", "http-post", "drop")

_FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip


def _check_log_target(text: str) -> str:
    """A runner's log, a local syslog socket, or a syslog server."""
    if not text or re.fullmatch(
        r"syslog:/[^\0]*|syslog(\+tcp|\+tls)?:([^/:\s\[\]]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}", text
    ):
        return ""
    return (
        "write nothing for the runner's log, syslog:/dev/log for a socket, or for a server syslog:HOST:PORT (UDP), "
        "syslog+tcp:HOST:PORT or syslog+tls:HOST:PORT"
    )


_S, _T, _U = Kind.STRING, Kind.TIME, Kind.UINT

_DOVECOT: Final = (
    Setting(
        "event_exporter_name", Kind.NAME, "",
        "name of the exporter, which metrics refer to; leave it to the name of the block", block_only=True,
    ),
    Setting("event_exporter_driver", Kind.ENUM, "log", "how and where events are delivered", DRIVER_NAMES),
    Setting(
        "event_exporter_format", _S, "",
        "how an event is written: `json`, `tab-text` or `none`; it has no default", FORMAT_NAMES, block_only=True,
    ),
    Setting(
        "event_exporter_time_format", Kind.ENUM, "rfc3339",
        "timestamps in the output: `rfc3339`, as in 2026-11-22T08:15:39.985628Z, or `unix`, seconds since 1970",
        TIME_FORMATS,
    ),
    Setting("event_exporter_unix_path", _S, "", "path of the stream socket that lines are written to"),
    Setting(
        "event_exporter_file_path", _S, "",
        "the file that events are written to; with `file_path_template`, the directory below which the files are",
    ),
    Setting(
        "event_exporter_unix_connect_timeout", _T, "250 ms",
        "how long to try to connect while the socket refuses or is busy",
    ),
    Setting(
        "event_exporter_http_post_url", _S, "",
        "the URL that events are posted to, `http://` or `https://`; `user:password@` in it is sent as Basic "
        "authentication; as an extension of dovebeam a reference to it, such as `env:NAME`",
    ),
)  # fmt: skip

_FILE: Final = (
    Setting(
        "event_exporter_file_writing", Kind.ENUM, "append",
        "`append` to files as Dovecot does, or write `shards`: complete files that are named when the job ends, "
        "on this machine or on `gs://`",
        ("append", "shards"), extension=True,
    ),
    Setting(
        "event_exporter_file_path_template", _S, "",
        "each event's file below the directory `file_path`, such as `%Y/%m/%d/{user}.json`",
        expanded=False, extension=True,
    ),
    Setting(
        "event_exporter_file_missing_field", Kind.ENUM, "reject",
        "what becomes of an event without a field that the template names: `reject` it, or use the `fallback`",
        ("reject", "fallback"), extension=True,
    ),
    Setting(
        "event_exporter_file_field_fallback", _S, "unknown", "the word that stands for a missing field in a path",
        extension=True,
    ),
    Setting(
        "event_exporter_file_rotate_size", Kind.SIZE, "0",
        "size before compression at which a file is full and the next one begins; 0 is no limit, for shards 1 GiB",
        extension=True,
    ),
    Setting(
        "event_exporter_file_rotate_interval", _T, "0",
        "length of the windows of event time that have a file each, such as `1 h`; 0 is none", extension=True,
    ),
    Setting(
        "event_exporter_file_window_delay", _T, "1 min",
        "of shards in a stream: how long after the end of its window a file is written, and how long what comes later "
        "is collected for another file",
        extension=True,
    ),
    Setting(
        "event_exporter_file_compression", Kind.ENUM, "none",
        "how files are compressed; their names end in `.gz` or `.zst`", ("none", "gzip", "zstd"), extension=True,
    ),
    Setting(
        "event_exporter_file_permissions", _S, "0600", "octal mode of new files, lessened by the umask",
        extension=True,
    ),
    Setting(
        "event_exporter_file_max_open", _U, "100",
        "how many files a worker holds open; the one used longest ago is closed for the next", extension=True,
    ),
)  # fmt: skip

_UNIX: Final = (
    Setting(
        "event_exporter_unix_write_timeout", _T, "60 s", "how long the listener may read nothing before the job fails",
        extension=True,
    ),
    Setting(
        "event_exporter_unix_retry_budget", _T, "0",
        "how long a batch waits for a listener that is away, from its first failure; 0 fails the job at once",
        extension=True,
    ),
)  # fmt: skip

_LOG: Final = (
    Setting(
        "event_exporter_log_target", _S, "",
        "where the lines go: empty for the log of the runner, `syslog:/dev/log` for a socket, `syslog:HOST:PORT`, "
        "`syslog+tcp:HOST:PORT` or `syslog+tls:HOST:PORT` for a server",
        extension=True, check=_check_log_target,
    ),
    Setting(
        "event_exporter_log_facility", Kind.ENUM, "mail", "the facility of syslog records", _FACILITIES, extension=True
    ),
    Setting(
        "event_exporter_log_rate_limit", _U, "0",
        "most records a second that one worker process writes to one log; 0 is no limit", extension=True,
    ),
    Setting(
        "event_exporter_log_write_timeout", _T, "60 s",
        "how long a syslog daemon may read nothing before the job fails", extension=True,
    ),
    Setting(
        "event_exporter_log_retry_budget", _T, "10 s",
        "how long a batch waits for a syslog daemon that is away; 0 fails the job at once", extension=True,
    ),
)  # fmt: skip

_AUTHENTICATION: Final = (
    Setting(
        "event_exporter_http_post_query", _S, "",
        "the query of the URL, without the question mark", secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_headers", Kind.TEXT_LIST, "",
        "further headers of each request, with their values",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_auth", Kind.ENUM, "none", "how a request says who sends it",
        ("none", "basic", "bearer", "oauth2", "google-id-token"), extension=True,
    ),
    Setting("event_exporter_http_post_auth_user", _S, "", "the user name for `basic`", secret=True, extension=True),
    Setting("event_exporter_http_post_auth_password", _S, "", "the password for `basic`", secret=True, extension=True),
    Setting("event_exporter_http_post_auth_token", _S, "", "the token for `bearer`", secret=True, extension=True),
    Setting(
        "event_exporter_http_post_oauth2_token_url", _S, "",
        "where `oauth2` gets its tokens, by the client credentials grant", extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_client_id", _S, "", "name of the client for `oauth2`",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_client_secret", _S, "", "secret of the client for `oauth2`",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_scope", _S, "", "scope that `oauth2` asks for, if the server wants one",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_audience", _S, "",
        "audience that `oauth2` asks for, if the server wants one", extension=True,
    ),
    Setting(
        "event_exporter_http_post_google_audience", _S, "",
        "audience of `google-id-token`; empty for scheme and host of the URL", extension=True,
    ),
)  # fmt: skip

_BATCHES: Final = (
    Setting(
        "event_exporter_http_post_batch_max_events", _U, "1", "most events of one request; 1 is what Dovecot does",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_max_bytes", Kind.SIZE, "1M",
        "most bytes of a body before compression; a longer event is sent alone", extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_max_time", _T, "1s",
        "how long an event waits for others while more are read", extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_format", Kind.ENUM, "lines",
        "how a body holds several events: `lines` that each end in a newline, or one JSON `array`",
        ("lines", "array"), extension=True,
    ),
    Setting(
        "event_exporter_http_post_content_type", _S, "",
        "the Content-Type of requests; empty for the one that goes with format and framing", extension=True,
    ),
    Setting(
        "event_exporter_http_post_compression", Kind.ENUM, "none", "how bodies are compressed",
        ("none", "gzip", "zstd"), extension=True,
    ),
)  # fmt: skip

_RETRIES: Final = (
    Setting(
        "event_exporter_http_post_retry_budget", _T, "0",
        "time from the begin of a request's first attempt to that of its last; 0 lets the number of attempts decide",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_success_statuses", _S, "200-299",
        "statuses after which events count as delivered, numbers and ranges", extension=True,
    ),
    Setting(
        "event_exporter_http_post_retry_statuses", _S, "408 425 429 500 502-599",
        "statuses after which a request is sent again", extension=True,
    ),
    Setting(
        "event_exporter_http_post_reject_statuses", _S, "",
        "statuses that reject all events of a request, without a search for the culprit", extension=True,
    ),
    Setting(
        "event_exporter_http_post_idempotency_header", _S, "",
        "name of a header for a key that stays the same over retries and replays, such as `Idempotency-Key`",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_rate_limit", _U, "0",
        "most requests a second of one worker process to one endpoint; 0 is no limit", extension=True,
    ),
    Setting(
        "event_exporter_http_post_adaptive_concurrency", Kind.BOOL, "yes",
        "have fewer requests on their way after refusals (429, 503) and time-outs, and more again after successes",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_max_in_flight_events", _U, "10000",
        "most events that a worker holds for the target", extension=True,
    ),
    Setting(
        "event_exporter_http_post_max_in_flight_bytes", Kind.SIZE, "16M",
        "most bytes of events that a worker holds for the target", extension=True,
    ),
)  # fmt: skip

EXPORTER_ROWS: Final = (*_DOVECOT, *_FILE, *_UNIX, *_LOG, *_AUTHENTICATION, *_BATCHES, *_RETRIES)
