"""A server on this machine that speaks as much of the Hub as uploading and loading need, and a process that asks it.

The Hub's client reads its settings once, when it is imported, and the tests' own process is set to be offline: what
talks with the server runs in one other process, which is told line by line what to do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN = "hf_OnlyForTheseTests"
OTHER_TOKEN = "hf_MayNotWriteHere"


@dataclass
class Repo:
    """A repository: commits as `sha -> path -> content`, and where each branch is."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        content = json.dumps([[path, hashlib.sha256(data).hexdigest()] for path, data in sorted(files.items())])
        sha = hashlib.sha1(f"{len(self.commits)} {content}".encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.branches["main"]]


@dataclass
class Hub:
    """The server's state; `requests` are (method, path), `broken` a status that every request is met with."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    proposed: list[dict[str, bytes]] = field(default_factory=list)
    broken: int = 0

    def put(self, name: str, folder: Path | None = None, *, private: bool = False, **others: bytes) -> Repo:
        """A repository that holds the files of `folder` and `others`."""
        repo = self.repos[name] = Repo(private)
        paths = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if folder}
        repo.commit(files | others)
        return repo

    @property
    def fetched(self) -> set[str]:
        """The files whose content was asked for."""
        return {path.split("/", 5)[5] for method, path in self.requests if method == "GET" and "/resolve/" in path}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def send(self, status: int, body: bytes | dict | list = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def missing(self, what: str) -> None:
        self.send(404, {"error": f"{what} not found"}, X_Error_Code=what, X_Error_Message=f"{what} not found")

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.hub.requests.append((self.command, path))
        if self.hub.broken:
            return self.send(self.hub.broken, {"error": "down for repairs"})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.send(200, {"errors": [], "warnings": []})
        if path.startswith("/blobs/"):
            self.hub.blobs[path.removeprefix("/blobs/")] = body
            return self.send(200)
        if path.endswith("/info/lfs/objects/batch"):
            return self.lfs(json.loads(body))
        return self.in_repo(path, parse_qs(address.query), body)

    do_GET = do_POST = do_PUT = do_HEAD = do_any

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def create(self, expected: dict[str, Any]) -> None:
        if self.token != TOKEN:
            return self.send(403 if self.token else 401, {"error": f"{self.token} may not write"})
        name = f"{expected['organization']}/{expected['name']}"
        if name in self.hub.repos:
            return self.send(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
        self.hub.put(name, private=expected.get("visibility") == "private" or bool(expected.get("private")))
        return self.send(200, {"url": f"{self.hub.url}/{name}"})

    def lfs(self, expected: dict[str, Any]) -> None:
        objects = [
            {
                "oid": item["oid"],
                "size": item["size"],
                "actions": {"upload": {"href": f"{self.hub.url}/blobs/{item['oid']}", "header": {}}},
            }
            for item in expected["objects"]
        ]
        self.send(200, {"transfer": "basic", "objects": objects})

    def in_repo(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        parts = parts[2:] if api else parts
        name, remainder = "/".join(parts[:2]), parts[2:]
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self.token != TOKEN):
            if not self.token:
                return self.send(401, {"error": "Invalid username or password."}, X_Error_Message="Invalid username")
            return self.missing("RepoNotFound")
        if not api:
            return self.resolve(repo, remainder[1], "/".join(remainder[2:]))
        action = remainder[0] if remainder else "revision"
        revision = "/".join(remainder[1:]) or "main"
        sha = repo.branches.get(revision, revision)
        if sha not in repo.commits:
            return self.missing("RevisionNotFound")
        files = repo.commits[sha]
        if action == "revision":
            return self.send(
                200,
                {
                    "id": name,
                    "modelId": name,
                    "sha": sha,
                    "private": repo.private,
                    "tags": [],
                    "downloads": 0,
                    "siblings": [{"rfilename": file} for file in files],
                },
            )
        if action == "tree":
            return self.send(
                200,
                [
                    {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for file, data in files.items()
                ],
            )
        if action == "preupload":
            return self.send(
                200,
                {
                    "files": [
                        {
                            "path": file["path"],
                            "shouldIgnore": False,
                            "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                        }
                        for file in json.loads(body)["files"]
                    ]
                },
            )
        if self.token != TOKEN:
            return self.send(403, {"error": f"{self.token} may not write"})
        return self.commit(name, repo, revision, dict(files), body, "create_pr" in query)

    def commit(self, name: str, repo: Repo, branch: str, files: dict[str, bytes], body: bytes, pr: bool) -> None:
        for line in body.splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif step["key"] == "deletedFile":
                del files[value["path"]]
        answer = {"commitUrl": f"{self.hub.url}/{name}/commit/0", "commitOid": "0" * 40}
        if pr:
            self.hub.proposed.append(files)
            answer["pullRequestUrl"] = f"{self.hub.url}/{name}/discussions/1"
        else:
            sha = repo.commit(files, branch)
            answer |= {"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha}
        self.send(200, answer)

    def resolve(self, repo: Repo, revision: str, path: str) -> None:
        sha = repo.branches.get(revision, revision)
        if path not in repo.commits.get(sha, {}):
            return self.missing("EntryNotFound")
        data = repo.commits[sha][path]
        return self.send(200, data, X_Repo_Commit=sha, ETag=f'"{hashlib.sha256(data).hexdigest()}"')


@contextmanager
def serving() -> Iterator[Hub]:
    """A running server."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


_WORKER = """
import contextlib, io, json, sys, traceback
import torch
torch.set_num_threads(1)
from affectgpt.cli.main import main
real = sys.stdout
for line in sys.stdin:
    task, out, err = json.loads(line), io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if "run" in task:
                exec(task["run"], {})
            else:
                sys.argv = ["affectgpt", *task["arguments"]]
                main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            code = -1
            print(f"{type(error).__name__}: {error}", file=err)
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), file=real, flush=True)
"""


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """That of a process which knows the server only, has no token unless told, and keeps its cache in `home`."""
    retained = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return retained | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


@dataclass
class Outcome:
    """What was printed, and the exit code (-1: an exception left the code that was run)."""

    code: int
    out: str
    err: str


class Asker:
    """Runs `affectgpt ARGUMENTS`, or Python code, in the process that knows the server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, *arguments: object, token: str = "") -> Outcome:
        put = f"os.environ['HF_TOKEN'] = {token!r}" if token else ""
        self._ask({"run": f"import os; os.environ.pop('HF_TOKEN', None); {put}"})
        return self._ask({"arguments": [str(each) for each in arguments]})

    def python(self, code: str) -> Outcome:
        return self._ask({"run": code})

    def _ask(self, task: dict[str, Any]) -> Outcome:
        assert self.process.stdin and self.process.stdout
        print(json.dumps(task), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, "the process has died"
        return Outcome(**json.loads(line))


@pytest.fixture(scope="session")
def _server() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture(scope="session")
def _asker(_server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    home = tmp_path_factory.mktemp("home")
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(_server.url, home),
    )
    yield Asker(process)
    assert process.stdin
    process.stdin.close()
    # A process that was forked meanwhile may hold the other end still.
    process.kill()
    process.wait(timeout=20)


@pytest.fixture
def hub(_server: Hub) -> Iterator[Hub]:
    """The server, empty."""
    for retained in (_server.repos, _server.blobs, _server.requests, _server.proposed):
        retained.clear()
    yield _server
    _server.broken = 0


@pytest.fixture
def asker(_asker: Asker, hub: Hub, tmp_path: Path) -> Asker:
    """The other process, with an empty cache."""
    _asker.python(
        "import huggingface_hub.constants as constants\n"
        f"constants.HF_HUB_CACHE = {str(tmp_path / 'cache')!r}\n"
        "import huggingface_hub\nhuggingface_hub.utils.close_session()"
    )
    return _asker


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    import shutil

    from affectgpt.bundled import TINY

    shutil.copytree(TINY, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def fresh() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `affectgpt ARGUMENTS`, or Python code, in a process with settings of the Hub's client of its own."""

    def run(url: str, home: Path, *arguments: object, code: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        what = ["-c", code] if code else ["-m", "affectgpt.cli.main"]
        command = [sys.executable, *what, *map(str, arguments)]
        return subprocess.run(command, env=environment(url, home, **more), capture_output=True, text=True, timeout=60)

    return run
