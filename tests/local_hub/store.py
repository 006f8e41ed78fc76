"""What a local Hub keeps: repositories with branches and commits, and the content of every file, by its SHA-256."""

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGE_BYTES = 4096  # far below the Hub's limit, so that tiny files take the way of large ones too
BINARY_SUFFIXES = (".safetensors", ".parquet", ".flac", ".wav", ".ogg", ".png", ".bin")


class Refusal(Exception):
    """An answer that is no success: status, the Hub's error code, and its message."""

    def __init__(self, status: int, message: str, code: str | None = None, **content: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.content = status, message, code, content


@dataclass(frozen=True)
class Entry:
    """A file in a commit."""

    oid: str
    size: int
    sha256: str
    is_large: bool


@dataclass
class Repo:
    """A repository: commits are immutable maps from path to entry, branches point at them."""

    kind: str
    name: str
    private: bool = False
    commits: dict[str, dict[str, Entry]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)

    def commit(self, branch: str, title: str, files: dict[str, Entry]) -> str:
        """Add a commit and move the branch to it."""
        lines = [f"{self.kind} {self.name} {len(self.commits)}", *sorted(f"{p} {e.oid}" for p, e in files.items())]
        oid = hashlib.sha1("\n".join(lines).encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        self.titles.append(title)
        return oid

    def resolve(self, revision: str) -> str:
        """The commit that a branch, `refs/heads/...` or a commit id names."""
        oid = self.branches.get(revision.removeprefix("refs/heads/"), revision)
        if oid not in self.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid


class Store:
    """All repositories, and a folder with one file for each content."""

    def __init__(self, folder: Path, quota: int | None = None) -> None:
        self.folder, self.quota = folder, quota
        self.folder.mkdir(parents=True, exist_ok=True)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.lock = threading.RLock()

    def create(self, kind: str, name: str, private: bool = False) -> Repo:
        """A new repository with a first, empty commit."""
        with self.lock:
            repo = self.repos[kind, name] = Repo(kind, name, private)
            repo.commit("main", "initial commit", {".gitattributes": self.entry(b"*.safetensors filter=lfs\n", False)})
            return repo

    def repo(self, kind: str, name: str, may_see_private: bool = True) -> Repo:
        """The repository; one that may not be seen looks like one that is not there."""
        repo = self.repos.get((kind, name))
        if repo is None or (repo.private and not may_see_private):
            raise Refusal(404 if may_see_private else 401, "Repository not found", "RepoNotFound")
        return repo

    def entry(self, content: bytes, is_large: bool) -> Entry:
        """Keep a file's content and return its entry."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.path(sha256).write_bytes(content)
        return self.known(sha256, len(content), is_large)

    def known(self, sha256: str, size: int, is_large: bool) -> Entry:
        """The entry of a content that is here."""
        if not self.path(sha256).is_file():
            raise Refusal(400, f"The content {sha256} was never uploaded")
        # Git's id of a small file is that of its content, of a large one that of the pointer to it.
        content = _pointer(sha256, size) if is_large else self.path(sha256).read_bytes()
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return Entry(oid, size, sha256, is_large)

    def path(self, sha256: str) -> Path:
        """Where a content lies."""
        return self.folder / sha256

    def used(self) -> int:
        """Bytes of all contents."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def add(self, kind: str, name: str, files: Iterable[tuple[str, bytes]], branch: str = "main") -> str:
        """Commit files from this side of the wire, as somebody else would have."""
        with self.lock:
            repo = self.repos.get((kind, name)) or self.create(kind, name)
            present = dict(repo.commits[repo.branches[branch]])
            present |= {path: self.entry(content, is_large(path, len(content))) for path, content in files}
            return repo.commit(branch, "add files", present)

    def add_folder(self, kind: str, name: str, folder: Path, branch: str = "main") -> str:
        """Commit a whole folder; returns the commit."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return self.add(
            kind, name, [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths], branch
        )

    def files(self, kind: str, name: str, revision: str = "main") -> dict[str, bytes]:
        """Everything that a revision holds, without the Hub's own .gitattributes."""
        repo = self.repo(kind, name)
        entries = repo.commits[repo.resolve(revision)]
        return {p: self.path(e.sha256).read_bytes() for p, e in sorted(entries.items()) if p != ".gitattributes"}


def is_large(path: str, size: int) -> bool:
    """Whether a file goes to the large-file storage: by its kind, or by its size."""
    return size > 0 and (path.endswith(BINARY_SUFFIXES) or size > LARGE_BYTES)


def _pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
