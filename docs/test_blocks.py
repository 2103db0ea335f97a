"""Run every console and Python block of README and docs in temporary folders (`make docs-test`).

A block is run as it is written, unless `commands.yaml` has an entry for it: what to run instead, or why nothing is run.
Pages share what `commands.yaml` prepares; each has its own copy.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import yaml
from block_server import CLIENT, send
from blocks import LIST, ROOT, Entry, Step, pages, read_list, steps_of

LIMIT = 240
"""Seconds that one step may take."""
NOT_RUN = 15
"""Steps that may have a reason and no substitute."""


class Runner:
    """Runs the steps of pages in copies of a prepared folder."""

    def __init__(self, folder: Path, environment: dict[str, str], address: str) -> None:
        self.folder, self.environment, self.address = folder, environment, address
        self.entries, self.needs = read_list()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.used: set[str] = set()

    def prepare(self) -> None:
        """Make what several pages need: clips, a trained model, a benchmark folder."""
        shared = self.folder / "shared"
        shared.mkdir()
        self._add_repository(shared)
        for command in yaml.safe_load(LIST.read_text(encoding="utf-8"))["prepare"]:
            problem = self._shell(command, shared, Entry())
            if problem:
                raise SystemExit(f"cannot prepare: {command}\n{problem}")

    def run_page(self, page: str) -> None:
        """Run the steps of a page in order; a failure does not stop the others."""
        steps = list(steps_of(page))
        if not steps:
            return
        folder = self.folder / page.replace("/", "-").removesuffix(".md")
        folder.mkdir()
        self._add_repository(folder)
        for name in self.needs.get(page, []):
            source, target = self.folder / "shared" / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        with ExitStack() as stack:
            session = Session(self, folder)
            stack.callback(session.close)
            current = folder
            for step in steps:
                current = self._run_step(step, current, session)

    def _run_step(self, step: Step, folder: Path, session: Session) -> Path:
        if step.kind == "file":
            path = folder / step.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step.text, encoding="utf-8")
            return folder
        entry = self.entries.get(step.name)
        self.used.add(step.name)
        if entry is not None and entry.reason:
            self.counts["only a reason"] += 1
            return folder
        text = step.text if entry is None or entry.run is None else entry.run
        self.counts["as written" if text == step.text else "substituted"] += 1
        if step.kind == "command" and text.startswith("cd "):
            return folder / text[3:].strip()
        start = time.monotonic()
        problem = session.run(text) if step.kind == "python" else self._shell(text, folder, entry or Entry())
        print(f"{time.monotonic() - start:6.1f} s  {step.page}: {text.splitlines()[0][:110]}", flush=True)
        if problem:
            self.failures.append(f"{step.page}: {text}\n{problem}")
            print(f"FAILED  {self.failures[-1]}", flush=True)
        return folder

    def _shell(self, command: str, folder: Path, entry: Entry) -> str:
        try:
            result = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return f"not finished after {LIMIT} s"
        if result.returncode == entry.code:
            return ""
        return f"exit code {result.returncode}, expected {entry.code}\n{result.stdout[-2000:]}{result.stderr[-3000:]}"

    def _add_repository(self, folder: Path) -> None:
        for name in ("configs", "examples", "benchmarks"):
            (folder / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "examples" / "clips" / "astronaut_voice.mp4", folder / "clip.mp4")


class Session:
    """One Python process for the blocks of a page, started with the first of them."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self.runner, self.folder, self.count = runner, folder, 0
        self.connection: socket.socket | None = None

    def run(self, code: str) -> str:
        """Run a block; the traceback when it fails, else an empty text."""
        if self.connection is None:
            self._start()
        self.count += 1
        path = self.folder / f"block_{self.count}.txt"
        path.write_text(code, encoding="utf-8")
        os.write(self.input, f"{path}\n".encode())
        answer, end = path.with_suffix(".done"), time.monotonic() + LIMIT
        while time.monotonic() < end:
            if answer.exists() and (text := answer.read_text()):
                return "" if text == "ok" else text
            time.sleep(0.05)
        return f"not finished after {LIMIT} s, or the process ended"

    def _start(self) -> None:
        read, self.input = os.pipe()
        output = os.open(self.folder / "block_output.txt", os.O_CREAT | os.O_WRONLY)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(self.runner.address)
        request = {"blocks": True, "folder": str(self.folder), "environment": self.runner.environment}
        send(self.connection, request, [read, output, output])
        os.close(read)
        os.close(output)

    def close(self) -> None:
        """End the process."""
        if self.connection is not None:
            os.close(self.input)
            self.connection.close()


def load_test_server(name: str) -> ModuleType:
    """The `conftest.py` of a test folder, whose loopback server stands in for a real one."""
    spec = importlib.util.spec_from_file_location(f"{name}_server", ROOT / "tests" / name / "conftest.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Run all pages, or those that are named; print what failed and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="pages, e.g. docs/how-to/train.md; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="pages at a time")
    arguments = parser.parse_args()
    start = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docs-test-")))
        hub_server, vllm_server = load_test_server("hub"), load_test_server("serving")
        hub = stack.enter_context(hub_server.serving())
        vllm = stack.enter_context(vllm_server.serving(lambda embeds: vllm_server.Answer()))
        environment = hub_server.environment(hub.url, folder / "home", HF_TOKEN=hub_server.TOKEN)
        environment |= {
            "DOCS_VLLM": vllm.url,
            "DOCS_SITE": str(folder / "site"),
            "DOCS_VENV": sys.prefix,
            "DOCS_ROOT": str(ROOT),
        }
        environment |= {"PYTHONPATH": str(folder / "site"), "AFFECTGPT_CACHE": str(folder / "cache")}
        environment["XDG_CACHE_HOME"] = str(folder / "cache")
        environment["PATH"] = os.pathsep.join(
            [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        (folder / "site").mkdir()
        (folder / "bin").mkdir()
        address = str(folder / "socket")
        client = folder / "bin" / "affectgpt"
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, str(ROOT / "docs" / "block_server.py"), address],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(server.wait)
        stack.callback(server.terminate)
        assert server.stdout and server.stdout.readline() == "ready\n"
        runner = Runner(folder, environment, address)
        runner.prepare()
        print(f"{time.monotonic() - start:6.1f} s  prepared", flush=True)
        chosen = arguments.pages or pages()
        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(runner.run_page, chosen))
        unused = [] if arguments.pages else sorted(set(runner.entries) - runner.used)
        for name in unused:
            print(f"FAILED  {LIST.name} has an entry for a step that no page has: {name}")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(runner.counts.items()))
    print(f"{counts}; {len(runner.failures)} failed; {time.monotonic() - start:.0f} s")
    too_many = runner.counts["only a reason"] > NOT_RUN
    if too_many:
        print(f"FAILED  more than {NOT_RUN} steps have only a reason")
    return 1 if runner.failures or unused or too_many else 0


if __name__ == "__main__":
    sys.exit(main())
