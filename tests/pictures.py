"""Make the README's pictures from a real run: python tests/pictures.py examples/pictures.

The notebook examples/by_hand.ipynb runs in its own JupyterLab; screenshots show three pages of its inspector.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "browser"))

from harness import PATIENCE, browser, chromium, jupyter, open_notebook, run_all

NOTEBOOK = Path(__file__).parents[1] / "examples" / "by_hand.ipynb"
WINDOW = {"width": 1180, "height": 1500}
TALLEST = 860
MARGIN = 12
SECOND_CALL = 5


def photograph(page, path: Path) -> None:
    """Save a screenshot of the inspector, cut off where a reader would have to scroll."""
    inspector = page.locator(".s2s-inspector").last
    inspector.scroll_into_view_if_needed()
    inspector.evaluate("box => box.scrollIntoView({block: 'start'})")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(800)
    box = inspector.bounding_box()
    clip = {
        "x": box["x"] - MARGIN,
        "y": box["y"],
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
        shutil.copy(NOTEBOOK, served)
        with jupyter("lab", served, home) as address, browser() as chrome:
            page = chrome.new_page(viewport=WINDOW, device_scale_factor=1.5)
            page.set_default_timeout(PATIENCE)
            open_notebook(page, address, "lab", NOTEBOOK.name)
            run_all(page, NOTEBOOK)
            page.keyboard.press("Control+b")  # fold the side bar
            show(page, "Training")
            photograph(page, folder / "training.png")
            show(page, "Steps")
            page.get_by_role("button", name="First", exact=True).last.click()
            for _ in range(SECOND_CALL):
                page.get_by_role("button", name="Next", exact=True).last.click()
            photograph(page, folder / "steps.png")
            show(page, "Wiring")
            page.get_by_role("button", name="Last", exact=True).last.click()
            photograph(page, folder / "wiring.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    if chromium() is None:
        sys.exit("no Chromium here: apt-get install chromium")
    take_pictures(folder)


if __name__ == "__main__":
    main()
