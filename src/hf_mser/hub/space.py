"""A metric or a demo -> the folder of its Space on the Hub."""

import shutil
from pathlib import Path

from .errors import HubError


def write_space(source: Path, folder: Path) -> None:
    """Copy a Space as it is: `README.md` with its head, `app.py`, `requirements.txt`, and what they need."""
    for name in ("README.md", "app.py"):
        if not (source / name).is_file():
            raise HubError(f"{source} holds no {name}, so it is no Space. Give the folder space/ or metrics/NAME.")
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))


def write_metric(source: Path, folder: Path, repo: str) -> None:
    """Copy a metric; `evaluate.load("ORG/NAME")` looks for `NAME.py`, so the module takes the repository's name."""
    write_space(source, folder)
    old, new = f"{source.resolve().name}.py", f"{repo.split('/')[-1]}.py"
    if not (folder / old).is_file():
        raise HubError(f"{source} holds no {old}: the module of a metric has the name of its folder.")
    if old != new:
        (folder / old).rename(folder / new)
        app = folder / "app.py"
        app.write_text(app.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
