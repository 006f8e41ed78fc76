"""A folder -> a repository on the Hub: one commit, or for data sets commits that a second run continues."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import HubError, explained

# What an earlier version may have left and this one no longer has: loaders would still read it.
STALE = {
    "model": ("*.safetensors", "*.safetensors.index.json", "*.py"),
    "dataset": ("*.parquet", "SHA256SUMS"),
    "space": ("*.py",),
}
TEXT_SUFFIXES = (".json", ".jsonl", ".md", ".yaml", ".yml", ".txt", ".py")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")


def files_of(folder: Path) -> list[Path]:
    """Every file of a folder that is to be published, in order.

    Example:
        >>> files_of(Path("metrics/mser_metrics"))[0].name
        'README.md'
    """
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def refuse_secrets(folder: Path) -> None:
    """A token of the Hub that slipped into a text is not published."""
    for path in files_of(folder):
        if path.suffix in TEXT_SUFFIXES and TOKEN.search(path.read_text(encoding="utf-8", errors="replace")):
            raise HubError(f"{path.name} holds what looks like a token of the Hub. Remove it, and revoke the token.")


def check_access(repo: str) -> None:
    """Fail before the long work if there is no token, or one that the Hub does not know."""
    from huggingface_hub import HfApi

    with explained(repo):
        HfApi().whoami()


def publish(
    folder: Path, repo: str, kind: str, *, private: bool | None = None, revision: str | None = None, message: str
) -> str:
    """Put a folder into a repository, which is made if it is missing; returns the address of the commit.

    A model, a metric or a Space arrives in one commit, or not at all. A data set may take several; one that was
    interrupted goes on when the same command is given again.

    Args:
        folder: What the repository shall hold.
        repo: `ORG/NAME`.
        kind: `model`, `dataset` or `space`.
        private: whether a new repository is private.
        revision: the branch, made from `main` if it is missing.
        message: the title of the commit.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    sdk = "gradio" if kind == "space" else None
    with explained(repo):
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo, repo_type=kind, branch=revision, exist_ok=True)
        where: dict[str, Any] = {"repo_id": repo, "repo_type": kind, "revision": revision, "commit_message": message}
        if kind == "dataset":
            commit = api.upload_folder(folder_path=folder, delete_patterns=list(STALE[kind]), **where)
        else:
            commit = api.create_commit(operations=_operations(api, folder, repo, kind, revision), **where)
    return str(commit.commit_url)


def _operations(api: Any, folder: Path, repo: str, kind: str, revision: str | None) -> Sequence[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    ours = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    there = api.list_repo_files(repo, repo_type=kind, revision=revision)
    gone = [path for path in there if path not in ours and any(Path(path).match(name) for name in STALE[kind])]
    additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in ours.items()]
    return [*(CommitOperationDelete(path_in_repo=name) for name in gone), *additions]
