"""Which headers a user may name: in `http_post_headers`, and as `http_post_idempotency_header`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["header_name_problem"]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,200}\Z")  # a token of RFC 9110
_OWN: Final[Mapping[str, str]] = {
    "content-type": "use http_post_content_type",
    "content-encoding": "use http_post_compression",
    "user-agent": "use http_client_user_agent",
    "proxy-authorization": "use http_client_proxy_username and http_client_proxy_password",
    **dict.fromkeys(
        (
            "connection content-length date expect host keep-alive proxy-connection te trailer transfer-encoding "
            "upgrade"
        ).split(),
        "the driver writes it itself",
    ),
}
_WITH_A_MEANING: Final = frozenset({"accept", "authorization"})


def header_name_problem(name: str, *, for_key: bool = False) -> str:
    """What is wrong with a header of this name, and what to do; empty if it may be set.

    Args:
        name: the header's name.
        for_key: it is to carry an idempotency key, so it must not be one that servers read as something else.
    """
    if not _NAME.match(name):
        return "a header's name has no such characters; correct it"
    lower = name.lower()
    if lower in _OWN:
        return f"it cannot be set like this; {_OWN[lower]}"
    if for_key and lower in _WITH_A_MEANING:
        return "it means something else; write for example Idempotency-Key"
    return ""
