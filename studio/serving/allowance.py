"""How much uploads may occupy in the memory of the studio's server, all pages together.

Streamlit keeps what was uploaded in memory for as long as its page is open, and limits single files only. Here an
upload has to say its size before it is read, and is refused where those held and those on their way leave no room.
Larger files are imported by path, which reads them from the disk (`smolstudio import`).
"""

from __future__ import annotations

from collections.abc import Callable

from studio.serving.gate import Asgi, Receive, Scope, Send, header, refuse

UPLOADS = "/_stcore/upload_file/"
LARGEST_MB = 200
MOST_BYTES = 400 << 20


class Allowance:
    """ASGI middleware around Streamlit. `held` says how many bytes of uploads are in memory now."""

    def __init__(self, app: Asgi, held: Callable[[], int], most_bytes: int = MOST_BYTES) -> None:
        self._app = app
        self._held = held
        self._most_bytes = most_bytes
        self._coming = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http" or scope["method"] in ("GET", "DELETE") or UPLOADS not in scope["path"]:
            await self._app(scope, receive, send)
            return
        said = header(scope, b"content-length")
        if len(said) != 1 or not (said[0].isascii() and said[0].isdecimal()):
            await refuse(scope, send, 411, "An upload has to say how long it is.")
            return
        size = int(said[0])
        if self._held() + self._coming + size > self._most_bytes:
            room = f"Uploads may take {self._most_bytes >> 20} MB of memory together."
            await refuse(scope, send, 413, f"{room} Close other pages, or use `smolstudio import FILE`.")
            return
        self._coming += size
        try:
            await self._app(scope, receive, send)
        finally:
            self._coming -= size


def held_by_streamlit() -> int:
    """Bytes of all uploads of all pages."""
    from streamlit import runtime

    if not runtime.exists():
        return 0
    kept = getattr(runtime.get_instance().uploaded_file_mgr, "file_storage", {})
    return sum(len(file.data) for files in list(kept.values()) for file in list(files.values()))
