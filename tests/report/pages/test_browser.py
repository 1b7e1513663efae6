from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from glassbit.report import write_report

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium (chromium, chromium-browser or google-chrome)")

# The page in a frame as wide as a phone; what the frame measures is left as text for --dump-dom.
FRAME = """<!doctype html><body style="margin:0">
<iframe style="border:0;width:390px;height:844px" srcdoc="{page}"></iframe>
<pre></pre><script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const wide = [...page.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, pre, nav, svg"))
    .filter((e) => e.getBoundingClientRect().right > 390.5).map((e) => e.tagName + "." + e.className);
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth, wide, charts: page.querySelectorAll(".panels > svg").length,
    ink: getComputedStyle(page.body).color, smallest: Math.min(...[...page.querySelectorAll(".panels > svg")]
      .filter((e) => e.getClientRects().length).map((e) => e.getBoundingClientRect().width)),
  }});
}});
</script>"""


@pytest.fixture
def browse(tmp_path):
    def run(*arguments):
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]
        profile = tmp_path / "profile"
        done = subprocess.run(
            [BROWSER, *flags, f"--user-data-dir={profile}", *map(str, arguments)],
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        )
        shutil.rmtree(profile, ignore_errors=True)
        return done.stdout

    return run


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_phone(tmp_path, make_study, browse, dark):
    page = write_report(make_study(tmp_path / "study", seeds=(0, 1), epochs=2))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=html.escape(page.read_text(encoding="utf-8"))), encoding="utf-8")
    theme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    dumped = browse(*theme, "--dump-dom", frame.as_uri())
    seen = json.loads(html.unescape(re.search(r"<pre>(.*?)</pre><script>", dumped, re.DOTALL)[1]))
    assert seen["width"] == 390
    assert seen["wide"] == []
    assert seen["charts"] > 10
    assert seen["smallest"] > 300
    assert seen["ink"] == ("rgb(230, 233, 238)" if dark else "rgb(29, 33, 41)")


def test_a_screenshot_shows_the_page_with_its_colours(tmp_path, make_study, browse):
    page = write_report(make_study(tmp_path / "study", seeds=(0,), epochs=1))
    picture = tmp_path / "page.png"
    browse("--window-size=1200,1400", f"--screenshot={picture}", page.as_uri())
    with Image.open(picture) as image:
        assert image.size == (1200, 1400)
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 22)}
    assert {(0x1D, 0x21, 0x29), (0xD1, 0x49, 0x0C), (0x00, 0x68, 0xB5)} <= colours
