"""A real Dovecot 2.3 (Debian's) on loopback, with event exporters of its own configuration syntax, for one test."""

from __future__ import annotations

import contextlib
import getpass
import imaplib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.programs import HANG_SECS, accepts, free_port, leave_out, require_program, running

_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
mail_uid = {internal}
mail_gid = {group}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = home={folder}/mail/%u
}}
{exporters}
"""


class Dovecot:
    """A running Dovecot; every user's password is `secret`."""

    def __init__(self, port: int) -> None:
        self._port = port

    def session(self, user: str, messages: int) -> None:
        """A user logs in, stores messages and reads them."""
        client = imaplib.IMAP4("127.0.0.1", self._port, timeout=HANG_SECS)
        client.login(user, "secret")
        for number in range(messages):
            mail = f"Subject: {number}\r\nFrom: {user}@example.com\r\n\r\nHello\r\n".encode()
            client.append("INBOX", "", imaplib.Time2Internaldate(0), mail)
        client.select("INBOX")
        client.search(None, "ALL")
        for number in range(1, messages + 1):
            client.fetch(str(number), "(RFC822)")
        client.logout()

    def wrong_password(self, user: str) -> None:
        """A user who has forgotten it."""
        client = imaplib.IMAP4("127.0.0.1", self._port, timeout=HANG_SECS)
        with contextlib.suppress(imaplib.IMAP4.error):
            client.login(user, "guess")
        client.logout()


@contextlib.contextmanager
def run_dovecot(urls: dict[str, str]) -> Iterator[Dovecot]:
    """Starts Dovecot, which sends each of its named events to all of these.

    Args:
        urls: of http targets, by the name of the exporter.
    """
    program = require_program("dovecot")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        leave_out(f"the configuration is that of Dovecot 2.3, this is {version.strip()}")
    # Its processes have users of their own, who cannot enter a test's private folder.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    try:
        folder.chmod(0o755)
        port = free_port()
        config = folder / "dovecot.conf"
        root = os.geteuid() == 0
        me = getpass.getuser()
        (folder / "mail").mkdir()
        if root:
            shutil.chown(folder / "mail", "dovecot", "dovecot")
        config.write_text(
            _CONFIG.format(
                folder=folder,
                port=port,
                internal="dovecot" if root else me,
                group="dovecot" if root else me,
                login="dovenull" if root else me,
                exporters="".join(_exporter(name, url) for name, url in urls.items()),
            )
        )
        with running([program, "-F", "-c", str(config)], folder / "log", lambda: accepts(port)):
            yield Dovecot(port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exporter(name: str, url: str) -> str:
    return f"""
event_exporter {name} {{
  format = json
  format_args = time-rfc3339
  transport = http-post
  transport_args = {url}
  transport_timeout = 10 secs
}}
metric {name} {{
  filter = event=*
  exporter = {name}
}}
"""
