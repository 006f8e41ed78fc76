"""Real `mser` processes at the price of a fork, on a disk of their own, as small or as read-only as a test likes.

One helper process imports what the commands need and forks each of them. It lives in a mount namespace, which Linux
lends without privileges: the disk is a tmpfs there, and goes when the helper goes.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

APART = ["unshare", "--user", "--map-root-user", "--mount"]


class Done(NamedTuple):
    """What became of a command."""

    status: int
    error: str


class ForkedMser:
    """Runs `mser` commands, one at a time.

    Args:
        folder: Where `disk` is made, and the file that takes what the commands say.
    """

    def __init__(self, folder: Path):
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.log = folder / "log"
        probe = [*APART, "mount", "-t", "tmpfs", "none", str(self.disk)]
        self.has_disk = bool(shutil.which("unshare")) and subprocess.run(probe, check=False).returncode == 0
        self._helper = subprocess.Popen(
            [*(APART if self.has_disk else []), sys.executable, __file__, str(self.disk), str(self.log)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def new_disk(self, options: str) -> None:
        """An empty disk with these options of mount; the test is skipped where none is lent."""
        if not self.has_disk:
            pytest.skip("no mount namespaces here")
        self._ask("mount", ["-t", "tmpfs", "-o", options])

    def change_disk(self, options: str) -> None:
        """Other options for the disk as it is."""
        self._ask("mount", ["-o", f"remount,{options}"])

    def keep(self, target: Path) -> None:
        """Copy the disk's content to where it can be seen."""
        self._ask("keep", str(target))

    def start(self, arguments: Sequence[str]) -> int:
        """Start a command and return its process id."""
        return self._ask("start", list(arguments))

    def wait(self) -> Done:
        """The end of the command that was started: its status, negative for a signal, and its standard error."""
        status = self._ask("wait", None)
        return Done(status, self.log.read_text(encoding="utf-8"))

    def run(self, arguments: Sequence[str]) -> Done:
        """Start and wait."""
        self.start(arguments)
        return self.wait()

    def close(self) -> None:
        """End the helper."""
        self._helper.communicate()

    def _ask(self, verb: str, what: Any) -> Any:
        self._helper.stdin.write(json.dumps([verb, what]) + "\n")
        self._helper.stdin.flush()
        return json.loads(self._helper.stdout.readline())


def _serve(disk: str, log: str) -> None:
    import datasets
    import torch
    import transformers.pipelines

    for needed in (datasets, transformers.pipelines):  # imported once for all commands
        assert needed
    assert torch.get_num_threads() == 1, "what has threads cannot be forked"
    child = 0
    for line in sys.stdin:
        verb, what = json.loads(line)
        answer = None
        if verb == "mount":
            subprocess.run(["mount", *what, "none", disk], check=True)
        elif verb == "keep":
            shutil.copytree(disk, what)
        elif verb == "start":
            answer = child = os.fork() or _run(what, log)
        elif verb == "wait":
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(answer), flush=True)


def _run(arguments: Sequence[str], log: str) -> int:
    from hf_mser.cli import main

    os.dup2(os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(1, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts aside is born deaf to it
    status = 70
    try:
        status = main(arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
