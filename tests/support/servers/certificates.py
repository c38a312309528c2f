"""A certificate authority for a test, by the openssl program."""

from __future__ import annotations

import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.programs import require_program

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")  # made ten times faster than one of RSA


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """Its own certificate."""
        return self.folder / f"{self.name}.pem"

    def context(self, subject_alt_name: str, *, ask_client: bool = False, name: str = "server") -> ssl.SSLContext:
        """What a server uses with a new certificate for these names.

        Args:
            subject_alt_name: as for `issue`.
            ask_client: it wants a certificate of this authority from clients, too.
            name: the CN.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, subject_alt_name))
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificate)
        return context

    def issue(
        self, name: str, subject_alt_name: str = "", *, expired: bool = False, password: str = ""
    ) -> tuple[Path, Path]:
        """A certificate for a CN and its key, such as for "DNS:localhost,IP:127.0.0.1"; without names there is no SAN."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        protection = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        _openssl("req", *_NEW_KEY, *protection, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={subject_alt_name}\n" if subject_alt_name else "")
        until = ["-days", "-1"] if expired else ["-days", "2"]
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.certificate.with_suffix(".key")),
            *("-CAcreateserial", "-out", certificate, "-extfile", extensions, *until),
        )
        return certificate, key


def make_authority(folder: Path, name: str = "ca") -> Authority:
    """Makes a certificate authority in an existing folder."""
    authority = Authority(folder, name)
    key = authority.certificate.with_suffix(".key")
    _openssl(
        *("req", "-x509", *_NEW_KEY, "-nodes", "-keyout", key, "-out", authority.certificate),
        *("-subj", f"/CN={name}", "-days", "2"),
    )
    return authority


def write_over(path: Path, *sources: Path) -> None:
    """Replaces a file by what stands in others, in place."""
    path.write_bytes(b"".join(source.read_bytes() for source in sources))


def rename_over(path: Path, *sources: Path) -> None:
    """The same, by renaming a new one."""
    write_over(path.with_suffix(".next"), *sources)
    path.with_suffix(".next").rename(path)


def move_link(path: Path, *sources: Path) -> None:
    """The same as Kubernetes does it: the link of a folder is moved, that of the file stays."""
    folder = path.parent / f"{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    write_over(folder / path.name, *sources)
    data = path.parent / "..data"
    (path.parent / "..next").symlink_to(folder)
    (path.parent / "..next").rename(data)
    if not path.is_symlink():
        path.symlink_to(data / path.name)


def common_name(peer: socket.socket) -> str:
    """The CN of the certificate that the other side of a TLS connection has shown; empty for none."""
    certificate = peer.getpeercert() if isinstance(peer, ssl.SSLSocket) else None
    names = dict(pair for part in (certificate or {}).get("subject", ()) for pair in part)
    return names.get("commonName", "")


def _openssl(*arguments: object) -> None:
    subprocess.run([require_program("openssl"), *map(str, arguments)], check=True, capture_output=True)
