"""The HTTP side of the local Hub: one handler, one method for each call of the clients."""

import base64
import json
import re
import socket
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .metadata import metadata_faults
from .store import Entry, Refusal, Store, is_large

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
API = rf"/api/(?P<kinds>models|datasets|spaces)/{REPO}"
FILES = rf"/(?:(?P<kinds>datasets|spaces)/)?{REPO}"


@dataclass
class Faults:
    """What goes wrong, counted down: uploads and commits whose connection breaks half-way."""

    broken_uploads: int = 0
    broken_commits: int = 0

    def strikes(self, name: str) -> bool:
        """Whether this one fails."""
        left = getattr(self, name)
        setattr(self, name, max(left - 1, 0))
        return left > 0


class HubServer(ThreadingHTTPServer):
    """The server with what its handlers share."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], store: Store, faults: Faults, rights: dict[str, str]) -> None:
        super().__init__(address, Handler)
        self.store, self.faults, self.rights = store, faults, rights
        self.requests: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are part of the tests; they need no trace."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create_repo"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("POST", rf"{API}/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", rf"{API}/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", rf"{API}/branch/(?P<revision>[^/]+)", "branch"),
        ("POST", rf"{API}/paths-info/(?P<revision>[^/]+)", "paths_info"),
        ("GET", rf"{API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?", "tree"),
        ("GET", rf"{API}/revision/(?P<revision>[^/]+)", "info"),
        ("GET", rf"{API}/refs", "refs"),
        ("GET", API, "info"),
        ("POST", rf"{FILES}\.git/info/lfs/objects/batch", "lfs_batch"),
        ("POST", r"/lfs/verify", "lfs_verify"),
        ("PUT", r"/lfs/(?P<sha256>[0-9a-f]{64})", "lfs_put"),
        ("GET", r"/lfs/(?P<sha256>[0-9a-f]{64})", "lfs_get"),
        ("GET", rf"{FILES}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        url = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {url.path}")
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.body = self._read_body()
        try:
            self.right = self._right()
            for verb, pattern, action in self.ROUTES:
                match = re.fullmatch(pattern, url.path)
                if verb == method and match:
                    parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                    with self.server.store.lock:
                        getattr(self, action)(**parts)
                    return
            raise Refusal(404, f"Nothing answers {method} {url.path} here")
        except Refusal as refusal:
            headers = {"X-Error-Message": refusal.message}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            self._json({"error": refusal.message, **refusal.content}, refusal.status, headers)

    # Who is there, and repositories

    def whoami(self) -> None:
        if self.right is None:
            raise Refusal(401, "Invalid username or password.")
        token = {"type": "access_token", "accessToken": {"displayName": "test", "role": self.right}}
        self._json({"type": "user", "name": "org", "fullname": "Org", "orgs": [], "auth": token})

    def create_repo(self) -> None:
        self._must_write()
        wanted = json.loads(self.body)
        kind, name = wanted.get("type", "model"), f"{wanted.get('organization') or 'org'}/{wanted['name']}"
        if name.split("/")[0] != "org":
            raise Refusal(403, f"You don't have the rights to create a {kind} under the namespace {name.split('/')[0]}")
        url = f"{self._endpoint()}/{'' if kind == 'model' else kind + 's/'}{name}"
        if (kind, name) in self.server.store.repos:
            raise Refusal(409, "You already created this repo", url=url)
        self.server.store.create(kind, name, private=wanted.get("visibility") == "private")
        self._json({"url": url, "name": name})

    def info(self, kinds: str, repo: str, revision: str = "main") -> None:
        found = self._repo(kinds, repo)
        oid = found.resolve(revision)
        self._json(
            {
                "id": repo,
                "modelId": repo,
                "sha": oid,
                "private": found.private,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in sorted(found.commits[oid])],
            }
        )

    def refs(self, kinds: str, repo: str) -> None:
        branches = self._repo(kinds, repo).branches
        listed = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid} for name, oid in branches.items()]
        self._json({"branches": listed, "tags": [], "converts": []})

    def branch(self, kinds: str, repo: str, revision: str) -> None:
        self._must_write()
        found = self._repo(kinds, repo)
        if revision in found.branches:
            raise Refusal(409, f"Reference already exists: {revision}")
        found.branches[revision] = found.branches["main"]
        self._json({})

    # Uploading

    def validate(self) -> None:
        wanted = json.loads(self.body)
        faults = metadata_faults(wanted["content"], wanted.get("repoType", "model"))
        if faults:
            raise Refusal(400, "Invalid metadata", errors=[{"message": fault} for fault in faults])
        self._json({"errors": [], "warnings": []})

    def preupload(self, kinds: str, repo: str, revision: str) -> None:
        self._must_write()
        found = self._repo(kinds, repo)
        present = found.commits[found.resolve(revision)]
        files = []
        for file in json.loads(self.body)["files"]:
            mode = "lfs" if is_large(file["path"], file["size"]) else "regular"
            entry = present.get(file["path"])
            oid = None if entry is None else entry.sha256 if entry.is_large else entry.oid
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": files})

    def lfs_batch(self, repo: str, kinds: str = "models") -> None:
        self._must_write()
        self._repo(kinds, repo)
        store = self.server.store
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if store.quota is not None and store.used() + wanted["size"] > store.quota:
                answer["error"] = {"code": 403, "message": "Storage quota exceeded: free some space or upgrade."}
            elif not store.path(wanted["oid"]).is_file():
                here = self._endpoint()
                verify = {"href": f"{here}/lfs/verify"}
                answer["actions"] = {"upload": {"href": f"{here}/lfs/{wanted['oid']}"}, "verify": verify}
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects})

    def lfs_put(self, sha256: str) -> None:
        if self.server.faults.strikes("broken_uploads"):
            self._break_off()
            return
        entry = self.server.store.entry(self.body, True)
        if entry.sha256 != sha256:
            self.server.store.path(entry.sha256).unlink()
            raise Refusal(400, "The content is not what its name says")
        self._json({})

    def lfs_verify(self) -> None:
        wanted = json.loads(self.body)
        path = self.server.store.path(wanted["oid"])
        if not path.is_file() or path.stat().st_size != wanted["size"]:
            raise Refusal(404, "This content is not here")
        self._json({})

    def commit(self, kinds: str, repo: str, revision: str) -> None:
        self._must_write()
        found = self._repo(kinds, repo)
        if self.server.faults.strikes("broken_commits"):
            self._break_off()
            return
        store = self.server.store
        files = dict(found.commits[found.resolve(revision)])
        title = ""
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                title = value["summary"]
                parent = value.get("parentCommit")
                if parent and not found.branches[revision].startswith(parent):
                    raise Refusal(412, "A commit has happened since. Please refresh and try again.")
            elif operation["key"] == "file":
                files[value["path"]] = store.entry(base64.b64decode(value["content"]), False)
            elif operation["key"] == "lfsFile":
                files[value["path"]] = store.known(value["oid"], value["size"], True)
            elif operation["key"] == "deletedFile":
                files.pop(value["path"])
            else:
                raise Refusal(400, f"Unknown operation {operation['key']}")
        oid = found.commit(revision, title, files)
        self._json({"commitUrl": f"{self._endpoint()}/{repo}/commit/{oid}", "commitOid": oid, "success": True})

    # Downloading

    def resolve(self, repo: str, revision: str, path: str, kinds: str = "models") -> None:
        found = self._repo(kinds, repo)
        oid = found.resolve(revision)
        entry = found.commits[oid].get(path)
        if entry is None:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": oid, "ETag": f'"{entry.oid}"', "Accept-Ranges": "bytes"}
        if entry.is_large:
            headers |= {"X-Linked-ETag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
            self._send(302, b"", headers | {"Location": f"{self._storage()}/lfs/{entry.sha256}"})
        else:
            self._content(entry.sha256, headers)

    def lfs_get(self, sha256: str) -> None:
        self._content(sha256, {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"})

    def tree(self, kinds: str, repo: str, revision: str, path: str = "") -> None:
        found = self._repo(kinds, repo)
        entries = found.commits[found.resolve(revision)]
        prefix = f"{path}/" if path else ""
        inside = {name: entry for name, entry in sorted(entries.items()) if name.startswith(prefix)}
        if path and not inside:
            raise Refusal(404, f"{path} does not exist", "EntryNotFound")
        deep = self.query.get("recursive", "false").lower() in ("true", "1")
        listed: dict[str, dict[str, Any]] = {}
        for name, entry in inside.items():
            steps = name[len(prefix) :].split("/")
            for depth in range(1, len(steps)) if deep else range(1, min(2, len(steps))):
                folder = prefix + "/".join(steps[:depth])
                listed[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
            if deep or len(steps) == 1:
                listed[name] = _described(name, entry)
        self._json(list(listed.values()))

    def paths_info(self, kinds: str, repo: str, revision: str) -> None:
        found = self._repo(kinds, repo)
        entries = found.commits[found.resolve(revision)]
        if self.headers.get("Content-Type", "").startswith("application/json"):
            wanted = json.loads(self.body)["paths"]
        else:
            wanted = parse_qs(self.body.decode())["paths"]
        self._json([_described(path, entries[path]) for path in wanted if path in entries])

    # Plumbing

    def _right(self) -> str | None:
        """What the token allows; no token, nothing."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not token:
            return None
        if token not in self.server.rights:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.server.rights[token]

    def _must_write(self) -> None:
        if self.right is None:
            raise Refusal(401, "Invalid username or password.")
        if self.right != "write":
            raise Refusal(403, "You must use a write token to do that")

    def _repo(self, kinds: str, name: str) -> Any:
        return self.server.store.repo(KINDS[kinds], name, may_see_private=self.right is not None)

    def _endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _storage(self) -> str:
        """Another host, as the Hub's storage is: clients follow redirects within the Hub while they read headers."""
        return f"http://localhost:{self.server.server_port}"

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _break_off(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _content(self, sha256: str, headers: dict[str, str]) -> None:
        content = self.server.store.path(sha256).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            self._send(200, content, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        if start >= len(content):
            raise Refusal(416, "Requested range not satisfiable")
        span = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], headers | {"Content-Range": span})

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _described(path: str, entry: Entry) -> dict[str, Any]:
    known: dict[str, Any] = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid}
    if entry.is_large:
        known["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 130}
    return known
