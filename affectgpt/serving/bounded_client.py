"""An HTTP client that follows no redirect and limits the size of a reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai

MOST_BYTES = 4 << 20
"""A reply's largest size: far beyond the longest text that is asked for."""


class BoundedClient(openai.DefaultHttpxClient):
    """Raises the error of `failure(found, hint)` for a redirect, a compressed reply, or more than [MOST_BYTES][] bytes.

    A redirect would send the prompt of a clip to an address that the user did not choose. The size of a compressed
    reply is unknown before it is decompressed, so none is requested.
    """

    def __init__(self, failure: Callable[[str, str], Exception], **options: Any) -> None:
        super().__init__(follow_redirects=False, **options)
        self._failure = failure

    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """Send `request`. Returns the reply with its content read; raises as the class says."""
        request.headers["Accept-Encoding"] = "identity"
        reply = super().send(request, stream=True, **options)
        try:
            if 300 <= reply.status_code < 400:
                raise self._failure(
                    f"a redirect to {reply.headers.get('location') or 'nowhere'}",
                    "redirects are not followed: pass the address itself as server=",
                )
            if reply.headers.get("content-encoding", "identity") != "identity":
                raise self._failure("a compressed reply", "replies must come as they are")
            content = bytearray()
            for part in reply.iter_raw():
                content += part
                if len(content) > MOST_BYTES:
                    raise self._failure(
                        f"more than {MOST_BYTES >> 20} MiB in one reply",
                        "is this the address of a vLLM server, with /v1?",
                    )
        finally:
            reply.close()
        return type(reply)(reply.status_code, headers=reply.headers, content=bytes(content), request=reply.request)
