"""A person at the page: `mser demo` in a process of its own, and Debian's Chromium through Playwright."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
_SERVER_STARTS_S = 120


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The address of a fresh `mser demo`, whose files go to `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "gradio"), "HF_HUB_OFFLINE": "1"}
    with open(folder / "server.log", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "hf_mser.cli", "demo", "--port", str(port), *options]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            # Gradio prints its address once it answers; without a line the process has ended.
            said = server.stdout.readline()
            if address not in said:
                raise RuntimeError(f"{said}{(folder / 'server.log').read_text(encoding='utf-8')}")
            urllib.request.urlopen(address, timeout=_SERVER_STARTS_S).close()
            yield address
        finally:
            server.kill()
            server.communicate()


@contextlib.contextmanager
def chromium(spoken: Path) -> Iterator[Any]:
    """A browser without a window, whose microphone hears `spoken` and whose user allows it to."""
    from playwright.sync_api import sync_playwright

    microphone = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS.split(), *microphone])
        yield browser
        browser.close()


class Visitor:
    """Someone with the page open. `errors` come from its scripts, `strangers` are requests that left the machine."""

    def __init__(self, browser: Any, address: str, **settings: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **settings})
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)
        self.address = address
        self.page.goto(address)
        self.page.wait_for_selector("#mser-audio input[type=file]", state="attached")

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.strangers.append(request.url)

    def upload(self, path: Path) -> None:
        self.page.set_input_files("#mser-audio input[type=file]", path)

    def answer(self) -> dict[str, float]:
        """Words and their bars, as soon as there are any; the word in large comes first."""
        self.page.wait_for_selector(".mser-word")
        rows = self.page.locator(".mser-row").evaluate_all(
            "rows => rows.map(row => [row.querySelector('.mser-label').innerText,"
            " row.querySelector('.mser-bar').style.width])"
        )
        return {word: float(width.rstrip("%")) / 100 for word, width in rows}

    def word(self) -> str:
        """The word in large."""
        return re.sub(r"\s*\d+ %$", "", self.page.locator(".mser-word").inner_text())

    def complaint(self) -> str:
        """The sentence that is shown in place of an answer."""
        return self.page.locator(".mser-error").inner_text()

    def player(self, what: str) -> Any:
        """A property of the time line's player."""
        return self.page.evaluate(f"document.querySelector('#mser-timeline audio').{what}")

    def close(self, name: str) -> None:
        """Leave; with $SCREENSHOTS=DIR a picture of what was seen last stays there."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
        self.context.close()
