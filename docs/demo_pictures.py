"""Draw a digit on the page in a headless Chromium, and keep what it looks like.

python docs/demo_pictures.py MODEL...      writes docs/pictures/demo.png, demo-phone.png and demo-dark.png
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from capsnet.demo import Gallery
from capsnet.demo.page import serving

PICTURES = Path(__file__).parent / "pictures"
_BOWL = [(0.37, 0.45), (0.45, 0.41), (0.54, 0.4), (0.63, 0.44), (0.69, 0.52), (0.7, 0.62), (0.67, 0.71), (0.6, 0.78)]
FIVE = (
    [(0.39, 0.2), (0.5, 0.195), (0.6, 0.195), (0.69, 0.19)],
    [(0.39, 0.2), (0.385, 0.28), (0.375, 0.36), *_BOWL, (0.51, 0.81), (0.41, 0.8), (0.32, 0.76)],
)


def draw(page: Page, strokes: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Move the mouse along strokes, given in shares of the canvas, and wait for the answer to the last point."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    for stroke in strokes:
        for number, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=1 if number == 0 else 2)
            if number == 0:
                page.mouse.down()
        page.mouse.up()
    page.wait_for_selector("body[aria-busy=false]")
    # until the bars have grown
    page.wait_for_timeout(400)


def take(browser: Browser, address: str, name: str, width: int, height: int, scheme: str) -> None:
    """Draw a five, move a slider, and take a picture of the whole page."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if width < 500 else 1.5,
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(address, wait_until="networkidle")
    page.click("#clear")
    draw(page, FIVE)
    milliseconds = float(page.evaluate("document.body.dataset.roundtrip"))
    page.locator("#sliders input").nth(4).fill("0.2")
    page.wait_for_selector("body[aria-busy=false]")
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    answer = f"{page.inner_text('#answer')}, {page.inner_text('#time')}"
    print(f"{name}.png: {answer} {milliseconds:.0f} ms with the browser", flush=True)
    context.close()


def main(models: Sequence[str]) -> None:
    """Serve the page, and take the pictures."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with serving(Gallery(models)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        take(browser, address, "demo", 1280, 860, "light")
        take(browser, address, "demo-dark", 1280, 860, "dark")
        take(browser, address, "demo-phone", 390, 844, "light")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
