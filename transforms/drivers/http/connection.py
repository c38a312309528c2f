"""The connection of the `http-post` driver: libcurl's handles, kept from one batch to the next."""

from __future__ import annotations

import pycurl

from dovebeam.transforms.drivers.base import Batch, Connection, Failure
from dovebeam.transforms.drivers.http.access import Access
from dovebeam.transforms.drivers.http.endpoint import endpoint_of
from dovebeam.transforms.drivers.http.handles import HandlePool
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.drivers.http.transfers import Delivery
from dovebeam.transforms.errors import DeliveryError

__all__ = ["HttpPostConnection"]


class HttpPostConnection(Connection):
    """Kept-alive connections to one target."""

    def __init__(self, settings: HttpPostSettings, access: Access) -> None:
        super().__init__()
        self._settings = settings
        self._access = access
        self._endpoint = endpoint_of(settings.endpoint, settings.proxy.endpoint if settings.proxy else "")
        self._pool: HandlePool | None = None

    def deliver(self, batch: Batch) -> list[Failure]:
        """Posts the payloads, and returns when each has its final answer."""
        try:
            if self._pool is not None and self._pool.notice_files():
                self._drop_pool()
            if self._pool is None:
                self._pool = HandlePool(self._settings, self._access)
            failures = Delivery(self._settings, self._pool, self._endpoint, batch, self.on_arrival).run()
            self._pool.forget_bodies()
        except pycurl.error as error:
            self._drop_pool()
            text = self._access.credentials.without_secrets(str(error.args[-1]))
            message = f"libcurl refuses the settings of http-post: {text} (check the ssl_* and http_client_* settings)"
            raise DeliveryError(message, self._settings.endpoint) from None
        except BaseException:
            # Requests may be on their way; they end with their connections.
            self._drop_pool()
            raise
        return failures

    def _drop_pool(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            self._access = pool.access
            pool.close()

    def release(self) -> None:
        """Closes the connections of the pool."""
        self._drop_pool()
