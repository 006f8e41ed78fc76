"""A Hub on loopback: the calls that the real clients make, answered with real files.

It knows repositories of all kinds with branches, commits and privacy; pre-upload, LFS batch, PUT, verify and the
NDJSON commit; resolve with redirects and ranges; trees, revisions and paths; metadata validation; tokens with rights,
a quota, and connections that break. Clients read `HF_ENDPOINT` when they are imported, so they run in processes of
their own:

    hub = LocalHub(tmp_path / "hub")          # or the fixture `local_hub`
    hub.python("from transformers import pipeline; ...", home=tmp_path / "fresh", token=hub.WRITER)
    hub.store.files("model", "org/mser")      # {path: content}
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from .server import Faults, HubServer
from .store import Refusal, Store

__all__ = ["LocalHub", "Refusal", "Store"]


class LocalHub:
    """The server in a thread, its store, and processes whose clients talk to it alone."""

    WRITER = "hf_writer"
    READER = "hf_reader"

    def __init__(self, folder: Path, quota: int | None = None) -> None:
        self.store = Store(folder, quota)
        self.faults = Faults()
        rights = {self.WRITER: "write", self.READER: "read"}
        self._server = HubServer(("127.0.0.1", 0), self.store, self.faults, rights)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """What goes into `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[str]:
        """Every request so far: method and path."""
        return self._server.requests

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def environment(self, home: Path, token: str | None = None, **more: str) -> dict[str, str]:
        """Variables for a process that knows this Hub alone, with caches of its own in `home`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        source = str(Path(__file__).resolve().parents[2] / "src")
        path = os.pathsep.join(filter(None, [source, more.pop("PYTHONPATH", ""), kept.get("PYTHONPATH")]))
        return {
            **kept,
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home / "huggingface"),
            "HF_MODULES_CACHE": str(home / "modules"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": path,
            **({"HF_TOKEN": token} if token else {}),
            **more,
        }

    def python(
        self, code: str, home: Path, token: str | None = None, *arguments: str, check: bool = True, **more: str
    ) -> Any:
        """Run `code` in a fresh process; what it prints comes back as the result's `stdout`."""
        return self.run([sys.executable, "-c", code, *arguments], home, token, check=check, **more)

    def run(self, command: list[str], home: Path, token: str | None = None, *, check: bool = True, **more: str) -> Any:
        """Run a command in the environment of this Hub's clients, in the folder `home`."""
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command, cwd=home, env=self.environment(home, token, **more), capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{command[:3]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr[-4000:]}")
        return done
