"""Downloads that go on where they stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import requests

from glassbit._progress import bar

TIMEOUT = (10, 60)
BLOCK = 1 << 18


class Resuming:
    """A downloader for `pooch` that keeps what has arrived in a `.part` file and asks for the rest.

    Args:
        part: where to keep it.
        attempts: how often to ask; every time that brings something starts the count again.
        progress: whether to show a bar.
    """

    def __init__(self, part: Path, *, attempts: int = 3, progress: bool = False) -> None:
        self._part, self._attempts, self._progress = part, attempts, progress

    def __call__(self, url: str, output_file: str | Path, pooch: Any, check_only: bool = False) -> None:
        """Download `url` and move it to `output_file` when it is whole.

        Raises:
            requests.RequestException: the server cannot be reached, refuses, or breaks off every time.
        """
        left = self._attempts
        while True:
            before = self._size()
            try:
                self._continue(url, before)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                left = self._attempts if self._size() > before else left - 1
                if not left:
                    raise
        self._part.replace(output_file)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _continue(self, url: str, start: int) -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if start and not _goes_on(response, start):
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    if response.headers.get("Content-Range", "").endswith(f"/{start}"):
                        return
                    self._part.unlink()
                    raise requests.ConnectionError(f"{url}: the part that was kept is longer than the file")
                start = 0
            response.raise_for_status()
            length = response.headers.get("Content-Length")
            total = start + int(length) if length else None
            with self._part.open("ab" if start else "wb") as file, self._bar(url, total) as advance:
                advance(start)
                for block in response.iter_content(BLOCK):
                    file.write(block)
                    advance(len(block))
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"{url}: {self._size()} of {total} bytes arrived")

    def _bar(self, url: str, total: int | None) -> Any:
        return bar(url.rsplit("/", 1)[-1], total, show=self._progress, size=True)


def _goes_on(response: requests.Response, start: int) -> bool:
    """Whether the server sends what follows the first `start` bytes."""
    span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status_code == requests.codes.partial_content and span is not None and int(span[1]) == start
