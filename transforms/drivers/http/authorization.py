"""What `http-post` asks for header lines that are known only on the worker: credentials, and headers of the user."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Authorization"]


class Authorization(Protocol):
    """Gives header lines to the requests of one connection; a thread at a time uses it."""

    def headers(self) -> list[str]:
        """The lines for requests that start now, such as `Authorization: Bearer ...`; asked once a second at most.

        Raises:
            DeliveryError: a credential cannot be had now.
        """
        ...  # pragma: no cover

    def refused(self) -> bool:
        """The target answered 401; whether `headers` will now give another credential than it gave for that request.

        If so, the request is sent once more, and this attempt does not count.
        """
        ...  # pragma: no cover
