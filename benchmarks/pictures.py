"""`python -m benchmarks pictures`: the README's pictures, of a demo that is running.

Begin one beside it: `make demo ARGS="--annotate 2 --rounds 12"`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.harness.chromium import NAMES, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE, LABELING = {"width": 1240, "height": 1180}, {"width": 1240, "height": 760}
SCALE = 1.5
# For the curve, the map, thumbnails and Label Studio's own scripts.
SETTLED_MS = 6000


def main(argv: list[str]) -> int:
    """Write project.png, map.png and labeling.png; 0, or 1 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pictures", description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="its folder (%(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("docs/pictures"), help="(%(default)s)")
    arguments = parser.parse_args(argv)
    found = chromium()
    if found is None:
        print("found no Chromium; needed is one of", ", ".join(NAMES), file=sys.stderr)
        return 1
    try:
        demo = json.loads((arguments.demo / "demo.json").read_text())
    except (OSError, ValueError) as error:
        print(f"found no demo in {arguments.demo} ({error}); `make demo` first", file=sys.stderr)
        return 1
    arguments.folder.mkdir(parents=True, exist_ok=True)
    _take(found, demo, arguments.folder)
    return 0


def _take(binary: str, demo: dict[str, Any], folder: Path) -> None:
    # It comes with the requirements of development alone.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE, device_scale_factor=SCALE)
        page.goto(f"http://localhost:{demo['backend_port']}/projects/{demo['project_id']}")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=folder / "project.png")
        page.locator("#map").screenshot(path=folder / "map.png")
        page = browser.new_page(viewport=LABELING, device_scale_factor=SCALE)
        _label(page, demo)
        page.screenshot(path=folder / "labeling.png")
        browser.close()


def _label(page: Page, demo: dict[str, Any]) -> None:
    """Sign in and press Label All Tasks."""
    label_studio = f"http://localhost:{demo['label_studio_port']}"
    page.goto(f"{label_studio}/user/login/")
    page.fill("input[name=email]", demo["email"])
    page.fill("input[name=password]", demo["password"])
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/user/login" not in url, wait_until="commit")
    page.goto(f"{label_studio}/projects/{demo['project_id']}/data", wait_until="commit")
    page.get_by_role("button", name="Label All Tasks").click()
    page.wait_for_timeout(SETTLED_MS)
