"""The files that a connection holds open: so many, and the one that was used longest ago is closed for a new one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from dovebeam.transforms.drivers.file.append import AppendedFile
from dovebeam.transforms.errors import DeliveryError

__all__ = ["OpenFiles"]


class OpenFiles:
    """Files by their path.

    Args:
        limit: how many may be open.
        make: a file that is not open yet, by its path.
    """

    def __init__(self, limit: int, make: Callable[[str], AppendedFile]) -> None:
        self._limit = limit
        self._make = make
        self._files: OrderedDict[str, AppendedFile] = OrderedDict()

    def __getitem__(self, path: str) -> AppendedFile:
        """The file of a path.

        Raises:
            DeliveryError: another one had to be closed for it, and the system reports an error of its writes.
        """
        file = self._files.get(path)
        if file is None:
            if len(self._files) >= self._limit:
                self._files.popitem(last=False)[1].close()
            file = self._files[path] = self._make(path)
        else:
            self._files.move_to_end(path)
        return file

    def __len__(self) -> int:
        return len(self._files)

    def close(self) -> None:
        """Closes all of them, also after an error.

        Raises:
            DeliveryError: the first error of them.
        """
        first: DeliveryError | None = None
        while self._files:
            try:
                self._files.popitem()[1].close()
            except DeliveryError as error:
                first = first or error
        if first is not None:
            raise first
