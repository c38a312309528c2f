"""A collector from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable
from typing import Final

from dovebeam.pipelines.collect.listeners import Listener, Peers
from dovebeam.pipelines.collect.options import Address, CollectOptions
from dovebeam.pipelines.collect.sockets import Bound, bind, listen
from dovebeam.pipelines.collect.spool import Spool, SpoolSettings
from dovebeam.pipelines.collect.unix_lines import UnixLines
from dovebeam.pipelines.collect.writer import Counts, SpoolWriter
from dovebeam.pipelines.terminal.exit_codes import ExitCode, exit_code_of, heeded
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.drivers.secrets.secret import Secret
from dovebeam.transforms.errors import DeliveryError

__all__ = ["collect", "serve"]

_STOP_SECS: Final = 10.0


def collect(options: CollectOptions) -> int:
    """Collects until a signal ends it, says what was done, and returns the exit code.

    Raises:
        DeliveryError: see `serve`.
    """
    where = ", ".join(map(str, options.listen))
    try:
        counts = asyncio.run(serve(options, lambda: say(f"collecting from {where} into {options.spool}")))
    except ImportError as error:
        say(f"http addresses need a package that is not installed ({error}); install dovebeam[collect]")
        return ExitCode.FAILED
    except KeyboardInterrupt as interrupt:
        say("ended at once; what was answered is in the spool")
        return exit_code_of(interrupt)
    say(str(counts))
    return ExitCode.FAILED if counts.lost else ExitCode.DONE


async def serve(options: CollectOptions, ready: Callable[[], None] = lambda: None) -> Counts:
    """Collects until a signal comes, then takes what has been sent by then, and ends.

    Args:
        options: what to do.
        ready: called once all addresses are listened to.

    Returns:
        What was done.

    Raises:
        DeliveryError: the spool, an address, the certificate or the token cannot be had.
    """
    counts = Counts()
    token = _token(options)
    tls = _tls(options)
    settings = SpoolSettings(
        options.fsync, options.rotate_size, options.rotate_interval, options.keep, options.file_mode
    )
    stopping = _heed_signals()  # first: whoever is told that this is ready may end it at once
    async with SpoolWriter(Spool(options.spool, settings), counts) as writer:
        peers = {address: _peers(address, options, token, writer, counts) for address in options.listen}
        listeners: list[Listener] = []
        try:
            for each in _listening(options):
                context = tls if each.address.tls else None
                listeners.append(Listener(each, peers[each.address], options.max_connections, context))
            ready()
            await stopping.wait()
            say("stopping; what was sent by now is still taken")
        finally:
            end = asyncio.get_running_loop().time() + _STOP_SECS
            await asyncio.gather(*(listener.stop(_STOP_SECS) for listener in listeners))
            await writer.flush(end - asyncio.get_running_loop().time())
    return counts


def _listening(options: CollectOptions) -> list[Bound]:
    """The sockets of all addresses, or none: a collector that cannot have one of them takes no events by the others."""
    bound: list[Bound] = []
    try:
        for address in options.listen:
            bound += bind(address, options.socket_mode)
        listen(bound)
    except BaseException:
        for each in bound:
            each.close()
        raise
    return bound


def _peers(address: Address, options: CollectOptions, token: str, writer: SpoolWriter, counts: Counts) -> Peers:
    if address.path:
        return UnixLines(writer, counts, options.max_line_bytes)
    from dovebeam.pipelines.collect.http_posts import HttpPosts, HttpSettings  # noqa: PLC0415  an extra

    settings = HttpSettings(address.location, token, options.max_body_bytes, options.request_timeout)
    return HttpPosts(writer, counts, settings)


def _token(options: CollectOptions) -> str:
    """Looked up once; it must be a reference, since everybody can read the command lines of processes."""
    if options.token is None:
        return ""
    secret = Secret.parse("--token", options.token)
    if not secret.is_local:
        raise DeliveryError("--token: name where it is, as env:NAME or file:/PATH, not the token itself")
    text = secret.reveal("--token")
    if not text:
        raise DeliveryError(f"--token: there is nothing at {options.token}")
    return text


def _tls(options: CollectOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(f"--tls_cert {options.tls_cert}: {error.strerror or error}") from error
    return context


def _heed_signals() -> asyncio.Event:
    """Set at the first signal; a second one ends the process as if nobody handled it, unless it is SIGHUP."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    numbers = heeded()

    def handle(number: signal.Signals) -> None:
        came.set()
        if number == signal.SIGHUP:  # a terminal that is closed often sends two, and then its session SIGTERM
            return
        for each in numbers:
            if each != signal.SIGHUP:
                loop.remove_signal_handler(each)

    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    return came
