from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassbit._errors import DataError, GlassbitWarning
from glassbit.pictures import Framing, decoded, settle

Photo = Callable[..., Path]
AS_THEY_ARE = Framing()


def pixels(*files: Path, framing: Framing = AS_THEY_ARE) -> np.ndarray:
    return np.concatenate(list(decoded(files, settle(files, framing)).chunks()))


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"),
    [
        ("L", ".png", 1),
        ("RGB", ".png", 3),
        ("1", ".png", 1),
        ("P", ".png", 3),
        ("L", ".jpg", 1),
        ("RGB", ".jpg", 3),
        ("CMYK", ".jpg", 3),
        ("RGB", ".bmp", 3),
        ("RGB", ".webp", 3),
        ("L", ".tif", 1),
    ],
)
def test_kinds_of_files(tmp_path: Path, photo: Photo, mode: str, suffix: str, channels: int) -> None:
    path = photo(tmp_path / f"x{suffix}", mode="RGB" if mode in ("P", "CMYK") else "L" if mode == "1" else mode)
    with Image.open(path) as image:
        image.convert(mode).save(path)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    with pytest.warns(GlassbitWarning) if mode == "CMYK" else nullcontext():
        made = pixels(path)
    assert made.shape == (1, channels, 8, 8)
    assert np.array_equal(made[0].transpose(1, 2, 0).squeeze(), wanted)


def test_a_palette_of_greys_is_grey(tmp_path: Path, photo: Photo) -> None:
    path = photo(tmp_path / "x.png", mode="L")
    with Image.open(path) as image:
        wanted = np.asarray(image)
        made = image.convert("P")
        made.save(tmp_path / "y.png")
    assert np.array_equal(pixels(tmp_path / "y.png")[0, 0], wanted)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (8, 8), (0,) * len(mode))
    image.putpixel((0, 0), (9,) * (len(mode) - 1) + (255,))
    image.save(tmp_path / "x.png")
    with pytest.warns(GlassbitWarning, match=r"1 image has an alpha channel .* becomes white \(such as x.png\)"):
        made = pixels(tmp_path / "x.png")
    assert made[:, :, 0, 0].max() == 9
    assert made[:, :, 1:].min() == 255


def png16(path: Path, pixels: np.ndarray) -> Path:
    """A PNG of 16 bits per channel, which Pillow reads and does not write."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 2: 4, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


DEEP = np.random.default_rng(0).integers(0, 2**16, (8, 8, 4)).astype(np.uint16)


def test_16_bits_a_channel_are_read_as_8_and_said(tmp_path: Path) -> None:
    path = png16(tmp_path / "x.png", DEEP[..., :3])
    text = r"1 image has 16 bits per channel, of which the upper 8 are read \(such as x.png\)"
    with pytest.warns(GlassbitWarning, match=text):
        made = pixels(path)
    assert np.array_equal(made[0].transpose(1, 2, 0), DEEP[..., :3] >> 8)
    (tmp_path / "x.ppm").write_bytes(b"P6 8 8 65535\n" + DEEP[..., :3].astype(">u2").tobytes())
    with pytest.warns(GlassbitWarning, match="1 image has 16 bits per channel"):
        pixels(tmp_path / "x.ppm")
    with pytest.warns(GlassbitWarning) as told:
        pixels(png16(tmp_path / "y.png", DEEP))
    assert sorted(str(one.message)[12:27] for one in told) == ["16 bits per cha", "an alpha channe"]


def test_16_bit_grey_is_refused_with_the_line_that_makes_it_right(tmp_path: Path) -> None:
    path = png16(tmp_path / "x.png", DEEP[..., :1])
    with pytest.raises(DataError, match="pixels of mode I;16; save it with 8 bits per channel") as error:
        pixels(path)
    (line,) = re.findall("`([^`]+)`", str(error.value))
    with Image.open(path) as image:
        made = eval(line, {"np": np, "image": image})
    Image.fromarray(made).save(path)
    assert np.array_equal(pixels(path)[0, 0], np.round(DEEP[..., 0] / 257))


def test_a_palette_with_a_transparent_colour_is_said(tmp_path: Path, photo: Photo) -> None:
    with Image.open(photo(tmp_path / "x.png")) as image:
        image.convert("P").save(tmp_path / "x.png", transparency=0)
    with pytest.warns(GlassbitWarning, match="1 image has an alpha channel or a transparent colour"):
        pixels(tmp_path / "x.png")


def test_photographs_are_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)
    assert pixels(tmp_path / "x.jpg").shape == (1, 3, 16, 8)


def test_one_size_must_be_chosen(tmp_path: Path, photo: Photo) -> None:
    files = [photo(tmp_path / f"{n}.png", size=(8 + n // 2, 9)) for n in range(9)]
    with pytest.raises(DataError, match=r"5 sizes, width x height: 8 x 9 \(2\), .*\.\.\.; choose one.*size=64"):
        pixels(*files)
    assert pixels(*files, framing=Framing(size=(5, 6))).shape == (9, 3, 5, 6)


def test_grey_among_colour(tmp_path: Path, photo: Photo) -> None:
    files = [photo(tmp_path / "a.png", mode="L"), photo(tmp_path / "b.png"), photo(tmp_path / "c.png")]
    with pytest.raises(DataError, match=r"got 1 grey \(such as a.png\) and 2 in colour \(such as b.png, c.png"):
        pixels(*files)
    assert pixels(*files, framing=Framing(color="grey")).shape == (3, 1, 8, 8)
    assert pixels(*files, framing=Framing(color="rgb")).shape == (3, 3, 8, 8)


def odd_files(folder: Path, photo: Photo) -> dict[Path, str]:
    """Files that cannot be used, and what must be said of each."""
    made = {
        folder / "text.png": "the formats are PNG, JPEG, GIF, BMP, TIFF, WEBP, PBM, PGM and PPM",
        folder / "empty.jpg": "not an image",
        folder / "labels.csv": "not an image",
        photo(folder / "tiny.png", size=(1, 1)): "1 x 1 pixels; at least 4 a side",
        folder / "moving.gif": "2 frames",
        folder / "deep.png": "save it with 8 bits per channel",
        folder / "float.tif": "save it with 8 bits per channel",
        folder / "huge.png": "9000 x 9000 pixels; at most 64 million",
        folder / "bomb.png": "too many pixels; at most 64 million are read",
    }
    (folder / "text.png").write_text("hello")
    (folder / "empty.jpg").touch()
    (folder / "labels.csv").write_text("a,b\n")
    frames = [Image.new("L", (8, 8), value) for value in (0, 255)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(folder / "float.tif")
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    return made


def test_odd_files_are_listed_by_name(tmp_path: Path, photo: Photo, photos: Callable[..., Path]) -> None:
    photos(tmp_path, cat=3, dog=3)
    odd = odd_files(tmp_path / "dog", photo)
    with pytest.raises(DataError) as error:
        pixels(*sorted(path for path in tmp_path.rglob("*") if path.is_file()))
    lines = str(error.value).splitlines()
    assert lines[0] == f"images must be readable files; got {len(odd)} files that are not; repair or remove:"
    for path, reason in odd.items():
        line = next(line for line in lines if f"{path}: " in line)
        assert any(part in line for part in reason.split("|"))


def test_files_that_break_off_are_listed_up_to_ten(tmp_path: Path, photo: Photo) -> None:
    files = [photo(tmp_path / f"{n:02}.png", size=(40, 40)) for n in range(14)]
    for path in files[:13]:
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError) as error:
        pixels(*files)
    lines = str(error.value).splitlines()
    assert lines[0] == "images must be readable files; got 13 files that are not; repair or remove:"
    assert "00.png: " in lines[1]
    assert len(lines) == 12
    assert lines[-1] == "  ... and 3 more"


def test_one_bad_file(tmp_path: Path, photo: Photo) -> None:
    path = photo(tmp_path / "a.jpg", size=(200, 200))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(
        DataError,
        match=r"^images must be readable files; got 1 file that is not; repair or remove:\n  - .*a\.jpg: .*truncated",
    ):
        pixels(path)


def test_too_large_without_a_size(tmp_path: Path) -> None:
    Image.new("1", (3000, 8)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="at most 2048 pixels per side; got 3000 x 8; choose size="):
        pixels(tmp_path / "x.png")


def test_progress_is_told(tmp_path: Path, photo: Photo) -> None:
    files = [photo(tmp_path / f"{n}.png") for n in range(3)]
    told: list[int] = []
    list(decoded(files, settle(files, AS_THEY_ARE), advance=told.append).chunks())
    assert sum(told) == 3


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
0 0 8 8 rectfill
showpage
%%EOF
"""


def test_only_documented_formats_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*words: object, **more: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(os, "system", start)
    (tmp_path / "a.png").write_bytes(EPS)
    others = {"ICO": "b.png", "TGA": "c.png", "PDF": "d.png", "PCX": "e.png", "SGI": "f.png"}
    for name, file in others.items():
        Image.new("RGB", (16, 16)).save(tmp_path / file, format=name)
    files = sorted(tmp_path.iterdir())
    with pytest.raises(DataError) as error:
        settle(files, AS_THEY_ARE)
    assert str(error.value).count("not an image that can be read") == len(files) == 6
    with pytest.raises(DataError, match=r"a\.png: not an image"):
        list(decoded(files[:1], Framing(size=(8, 8), color="rgb")).chunks())


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere")
    code = """
import sys, pathlib
from glassbit._errors import DataError
from glassbit.pictures import Framing, decoded, settle
files = [pathlib.Path(name) for name in sys.argv[1:]]
for make in (lambda: settle(files, Framing()), lambda: list(decoded(files, Framing((8, 8), color="rgb")).chunks())):
    try:
        make()
    except DataError as error:
        print(error)
"""
    words = [sys.executable, "-c", code, tmp_path / "pipe.png", tmp_path / "lost.png", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("a pipe, socket or device, which is not opened") == 2
    assert done.stdout.count("a link to nothing") == 2
    assert done.stdout.count("a folder, where a file is needed") == 2


def test_names_are_printable(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[2J\udcff.png"
    path.write_text("hello")
    with pytest.raises(DataError) as error:
        settle([path], AS_THEY_ARE)
    assert r"a\n\x1b[2J\udcff.png: not an image" in str(error.value)


def test_errors_of_the_system_are_short(tmp_path: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = photo(tmp_path / "a.png")

    def refuse(*words: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"a\.png: Permission denied$"):
        settle([path], AS_THEY_ARE)
    monkeypatch.setattr(Image, "open", lambda *words, **more: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(DataError, match=r"a\.png: more pixels than there is memory for$"):
        settle([path], AS_THEY_ARE)
