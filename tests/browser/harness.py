"""A real Jupyter server and a real Chromium, with nothing of the machine's own settings in either."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 180_000
"""Milliseconds to wait for a kernel that imports TensorFlow on a busy machine."""


def chromium() -> str | None:
    """Find Debian's Chromium, or what takes its place."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def jupyter(front_end: str, folder: Path, home: Path) -> Iterator[str]:
    """Serve a folder on a free loopback port.

    Parameters
    ----------
    front_end
        ``"lab"`` or ``"notebook"``.
    folder
        What is served.
    home
        An empty folder for the server's settings, workspaces and logs.

    Yields
    ------
    str
        The server's address.
    """
    port = free_port()
    home.mkdir(parents=True, exist_ok=True)
    own = {
        "HOME": home,
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "IPYTHONDIR": home / "ipython",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "IPYTHON"))}
    environment |= {key: str(value) for key, value in own.items()}
    command = [sys.executable, "-m", "jupyter", front_end, "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
    ]
    write_setting(home, "apputils-extension", "notification", {"fetchNews": "false", "checkForUpdates": False})
    # Cells out of sight are shown as well, so that what they printed can be read.
    write_setting(home, "notebook-extension", "tracker", {"windowingMode": "none"})
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api/status", server, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    """Wait until a server answers; say what it printed when it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise RuntimeError(f"no answer from {address}:\n{log.read_text(errors='replace')[-4000:]}")


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium without its sandbox and without anything that talks to the network by itself."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_FLAGS))
        yield started
        started.close()


def with_inspectors(path: Path, folder: Path) -> Path:
    """Write a notebook to a folder with an inspector wherever it has a page by the magic ``inspect``."""
    copy = folder / path.name
    copy.write_text(re.sub(r"(%seq2seq inspect \w+)", r"\1 --widget", path.read_text()))
    return copy


def open_notebook(page: Any, address: str, front_end: str, name: str) -> None:
    """Open a notebook and wait until its kernel is there."""
    path = f"{address}/lab/tree/{name}?reset" if front_end == "lab" else f"{address}/notebooks/{name}"
    page.goto(path, timeout=PATIENCE)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE)
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        if (accept := page.locator(".jp-Dialog .jp-mod-accept")).is_visible():
            accept.click()  # which kernel, asked where the list of them comes late
        with urllib.request.urlopen(f"{address}/api/sessions") as answer:
            kernels = [session["kernel"] for session in json.load(answer) if session["path"] == name]
        if any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels):
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{name} got no kernel")


def run_all(page: Any, notebook: Path) -> None:
    """Run all cells from the menu, and wait until the last of them has run and the kernel is idle."""
    cells = sum(cell["cell_type"] == "code" for cell in json.loads(notebook.read_text())["cells"])
    status = page.locator(".jp-Notebook-ExecutionIndicator").first
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    asked, end = 0.0, time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        shown = " ".join(prompts.all_text_contents())
        counts = [int(number) for number in re.findall(r"\[(\d+)\]", shown)]
        if max(counts, default=0) >= cells and status.get_attribute("data-status") == "idle":
            return
        failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        if failed.count():
            raise AssertionError(f"a cell failed: {failed.first.inner_text()[-1500:]}")
        if not counts and "*" not in shown and time.monotonic() - asked > 10:
            # A kernel that has only just started may miss the first wish.
            page.get_by_role("menuitem", name="Run", exact=True).first.click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            asked = time.monotonic()
        page.wait_for_timeout(250)
    raise AssertionError(f"cells did not finish: {prompts.all_text_contents()}")


def use_theme(home: Path, theme: str) -> None:
    """Choose JupyterLab's light or dark theme for the pages that are opened from now on."""
    write_setting(home, "apputils-extension", "themes", {"theme": f"JupyterLab {theme}"})


def write_setting(home: Path, extension: str, plugin: str, values: dict[str, Any]) -> None:
    file = home / "settings" / "@jupyterlab" / extension / f"{plugin}.jupyterlab-settings"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values))


def grave(page: Any, axe: str, selector: str) -> list[tuple[str, str]]:
    """List axe-core's serious and critical findings below a selector."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found = page.evaluate("selector => axe.run([...document.querySelectorAll(selector)].pop())", selector)
    return [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
