"""A place for files in an object store, through Beam's file systems."""

import contextlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.shards.local_store import LocalStore
from dovebeam.transforms.shards.store import Store
from dovebeam.transforms.store_errors import store_error_text
from dovebeam.transforms.uploads import Upload

__all__ = ["RemoteStore", "make_store"]

_BINARY = "application/octet-stream"


def make_store(base: str, mode: int, directory_mode: int) -> Store:
    """The store of a base: a directory of this machine, or the URL of a folder in an object store."""
    return RemoteStore(base) if is_url(base) else LocalStore(base, mode, directory_mode)


class RemoteStore:
    """Objects below a URL. Object stores have no links, no modes, and write an object whole or not at all."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def create(self, name: str, *, is_part: bool, lasting: bool = False) -> BinaryIO:  # noqa: ARG002  no modes here
        """See `Store`."""
        uri = self._uri(name)
        if self.stamp(name):
            raise DeliveryError(f"{uri} exists, and a temporary object must be new (remove it, or wait)", uri)
        return cast(BinaryIO, self._called(uri, lambda: Upload(uri, CompressionTypes.UNCOMPRESSED)))

    def open(self, name: str) -> BinaryIO:
        """See `Store`."""
        uri = self._uri(name)
        return cast(BinaryIO, self._called(uri, lambda: FileSystems.open(uri, _BINARY, CompressionTypes.UNCOMPRESSED)))

    def names(self, directory: str) -> list[str]:
        """See `Store`."""
        return [path.rpartition("/")[2] for path in self._below(directory)]

    def stamp(self, name: str) -> str:
        """See `Store`."""
        uri = self._uri(name)
        if not self._called(uri, lambda: FileSystems.exists(uri)):
            return ""
        return f"={self._called(uri, lambda: FileSystems.checksum(uri))}"

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """See `Store`: a copy, whose failure is an error, and then the temporary object is removed."""
        source, target = self._uri(temporary), self._uri(final)
        if not replaces and self.stamp(final):
            raise DeliveryError(f"{target} has appeared while the job ran; nothing was replaced", target)
        self._called(target, lambda: FileSystems.rename([source], [target]))

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        uri = self._uri(name)

        def write() -> None:
            with Upload(uri, CompressionTypes.UNCOMPRESSED) as file:
                file.write(content)

        self._called(uri, write)

    def delete(self, name: str) -> None:
        """See `Store`."""
        if self.stamp(name):
            uri = self._uri(name)
            self._called(uri, lambda: FileSystems.delete([uri]))

    def alone(self, name: str) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002  object stores have no locks
        """See `Store`."""
        return contextlib.nullcontext()

    def delete_tree(self, directory: str) -> None:
        """See `Store`."""
        names = self._below(directory)
        if names:
            self._called(self._uri(directory), lambda: FileSystems.delete(names))

    def _below(self, directory: str) -> list[str]:
        uri = self._uri(directory)
        found = self._called(uri, lambda: FileSystems.match([f"{uri}/**"])[0].metadata_list)
        return [each.path for each in found if each.path.startswith(f"{uri}/")]  # a bracket in it is a pattern

    def _uri(self, name: str) -> str:
        return f"{self._base}/{name}"

    @staticmethod
    def _called(uri: str, call: Callable[[], Any]) -> Any:
        """What a call returns; every file system has its own exceptions."""
        try:
            return call()
        except DeliveryError:
            raise
        except Exception as error:
            raise DeliveryError(f"{uri}: {store_error_text(error)}", uri) from error
