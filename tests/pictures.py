"""Make the README's pictures from a real run: python tests/pictures.py examples/pictures.

The notebook examples/by_hand.ipynb runs in its own JupyterLab; screenshots show the page of a trace, and two pages of
the inspector.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "browser"))

from harness import PATIENCE, browser, chromium, jupyter, open_notebook, run_all, with_inspectors

NOTEBOOK = Path(__file__).parents[1] / "examples" / "by_hand.ipynb"
WINDOW = {"width": 1400, "height": 1500}
NARROWER = {"width": 1180, "height": 1500}
TALLEST = 860
MARGIN = 12
SECOND_CALL = 5


def photograph(page, shown, path: Path, *, at=None) -> None:
    """Save a screenshot of what is shown, cut off where a reader would have to scroll; point ``at`` a part of it."""
    shown.scroll_into_view_if_needed()
    shown.evaluate("box => box.scrollIntoView({block: 'start'})")
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    if at is not None:
        at.hover()
    page.wait_for_timeout(800)
    box = shown.bounding_box()
    clip = {
        "x": box["x"] - MARGIN,
        "y": box["y"] - 4,
        "width": box["width"] + 2 * MARGIN,
        "height": min(box["height"] + MARGIN, TALLEST),
    }
    page.screenshot(path=path, clip=clip)
    print(f"wrote {path} ({path.stat().st_size // 1024} KiB)")


def show(page, title: str) -> None:
    inspector = page.locator(".s2s-inspector").last
    inspector.get_by_role("tab", name=title, exact=True).click()
    inspector.locator(".s2s-page:visible").wait_for()


def take_pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        served, home = Path(scratch, "notebooks"), Path(scratch, "home")
        served.mkdir()
        notebook = with_inspectors(NOTEBOOK, served)
        with jupyter("lab", served, home) as address, browser() as chrome:
            page = chrome.new_page(viewport=WINDOW, device_scale_factor=1.5)
            page.set_default_timeout(PATIENCE)
            open_notebook(page, address, "lab", notebook.name)
            run_all(page, notebook)
            page.keyboard.press("Control+b")  # fold the side bar
            # one that does not open with a training's charts
            screens = page.locator(".s2s-live:visible").filter(has_not=page.locator(".s2s-multiple"))
            screen = screens.last
            photograph(page, screen, folder / "steps.png", at=screen.locator(f"code [data-is=s{SECOND_CALL}]"))
            page.set_viewport_size(NARROWER)
            inspector = page.locator(".s2s-inspector").last
            for title in ("Training", "Wiring"):
                show(page, title)
                photograph(page, inspector, folder / f"{title.lower()}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    if chromium() is None:
        sys.exit("no Chromium here: apt-get install chromium")
    take_pictures(folder)


if __name__ == "__main__":
    main()
