"""The collector: opens the spool and the listeners, and drains them when a signal arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

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

# Less than the 90 s after which systemd kills a service that does not stop.
_STOP_SECS: Final = 10.0
_ENDED: Final = "ended at once; what was answered is in the spool"


def collect(options: CollectOptions) -> int:
    """Collects until a signal arrives, prints the totals, and returns the exit code.

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
        say(_ENDED)
        return exit_code_of(interrupt)
    say(str(counts))
    return ExitCode.FAILED if counts.lost else ExitCode.DONE


async def serve(options: CollectOptions, ready: Callable[[], None] = lambda: None) -> Counts:
    """Collects until a signal arrives, then takes what was sent by then, and returns.

    Args:
        options: of the collector.
        ready: called once all addresses are listened to.

    Returns:
        The totals.

    Raises:
        DeliveryError: the spool, an address, the certificate or the token is not available.
    """
    # Whatever can fail because of an option fails before an address is bound and Dovecot can connect.
    counts = Counts()
    token = _token(options)
    tls = _tls(options)
    settings = SpoolSettings(
        options.fsync, options.rotate_size, options.rotate_interval, options.keep, options.file_mode
    )
    # Before `ready`: a service manager that sees the line may send the signal at once.
    stopping = _heed_signals()
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
            # Listeners first, since what they still read goes to the writer; both share the time.
            end = asyncio.get_running_loop().time() + _STOP_SECS
            await asyncio.gather(*(listener.stop(_STOP_SECS) for listener in listeners))
            await writer.flush(end - asyncio.get_running_loop().time())
    return counts


def _listening(options: CollectOptions) -> list[Bound]:
    """Listening sockets of all addresses; if one cannot be bound, none stays open."""
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
    """The token's text; empty without one."""
    # It must be a reference, since every user of a machine can read the command lines of processes.
    if options.token is None:
        return ""
    secret = Secret.parse("--token", options.token)
    if not secret.is_local:
        raise DeliveryError("--token: write where the token is, as env:NAME or file:/PATH, not the token itself")
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
    """An event that the first signal sets; a second one ends the process at once, unless it is SIGHUP."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    numbers = heeded()

    def handle(number: signal.Signals) -> None:
        came.set()
        # A terminal that is closed often sends SIGHUP twice, and then its session SIGTERM: none of them is a second
        # signal by which a person wants to end at once.
        if number == signal.SIGHUP:
            return
        for each in numbers:
            if each != signal.SIGHUP:
                loop.remove_signal_handler(each)
        if signal.SIGINT in numbers:
            signal.signal(signal.SIGINT, _end_at_once)

    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    return came


def _end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    # A `KeyboardInterrupt` would be raised in whatever runs now. In the task that writes, it would end only that task,
    # and those that wait for it would wait forever.
    with contextlib.suppress(RuntimeError):  # if this very moment something is being said
        say(_ENDED)
    os._exit(ExitCode.INTERRUPTED)
