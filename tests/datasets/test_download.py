from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from glassbit.datasets._download import Resuming

CONTENT = bytes(range(256)) * 40
URL = "https://example.org/file.bin"


class Server:
    """Answers like a web server; `breaks` says after how many bytes each answer breaks off."""

    def __init__(self, *, breaks: tuple[int, ...] = (), ranges: bool = True, content: bytes = CONTENT) -> None:
        self.breaks, self.ranges, self.content = list(breaks), ranges, content
        self.asked: list[str | None] = []

    def get(self, url: str, *, headers: Mapping[str, str], stream: bool, timeout: object) -> requests.Response:
        assert stream
        assert headers["Accept-Encoding"] == "identity"
        self.asked.append(headers.get("Range"))
        start = int(headers["Range"].split("=")[1].rstrip("-")) if self.ranges and "Range" in headers else 0
        response = requests.Response()
        response.url = url
        response.status_code = 206 if start else 200
        if start >= len(self.content):
            response.status_code, response.raw = 416, io.BytesIO()
            response.headers["Content-Range"] = f"bytes */{len(self.content)}"
            return response
        rest = self.content[start:]
        response.headers["Content-Length"] = str(len(rest))
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        response.raw = io.BytesIO(rest[: self.breaks.pop(0)] if self.breaks else rest)
        return response


def run(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> bytes:
    monkeypatch.setattr(requests, "get", server.get)
    Resuming(folder / "file.part", **options)(URL, folder / "file", None)
    assert not (folder / "file.part").exists()
    return (folder / "file").read_bytes()


def test_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    assert run(server, tmp_path, monkeypatch, progress=True) == CONTENT
    assert server.asked == [None]


def test_what_breaks_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(breaks=(1000, 500, 1, 1, 1, 1))
    assert run(server, tmp_path, monkeypatch) == CONTENT
    assert server.asked == [None, *(f"bytes={start}-" for start in (1000, 1500, 1501, 1502, 1503, 1504))]


def test_a_part_of_an_earlier_process_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:777])
    server = Server()
    assert run(server, tmp_path, monkeypatch) == CONTENT
    assert server.asked == ["bytes=777-"]


def test_a_part_that_is_whole_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert run(Server(), tmp_path, monkeypatch) == CONTENT


def test_a_part_that_is_too_long_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    assert run(Server(), tmp_path, monkeypatch) == CONTENT


def test_a_server_that_cannot_resume_sends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.part").write_bytes(b"old")
    assert run(Server(ranges=False), tmp_path, monkeypatch) == CONTENT


def test_it_gives_up_and_keeps_what_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(breaks=(1000, 0, 0, 0))
    with pytest.raises(requests.ConnectionError, match="1000 of 10240 bytes arrived"):
        run(server, tmp_path, monkeypatch)
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:1000]
    assert not (tmp_path / "file").exists()


def test_a_refusal_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get(url: str, **_: object) -> requests.Response:
        asked.append(url)
        response = requests.Response()
        response.status_code, response.raw = 404, io.BytesIO()
        return response

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(requests.HTTPError, match="404"):
        Resuming(tmp_path / "file.part")(URL, tmp_path / "file", None)
    assert len(asked) == 1
