"""A process that has imported torch once and forks for each command, so that a block does not wait for imports.

`affectgpt` and Python blocks are sent here over a Unix socket, with working folder, environment and standard streams.
"""

from __future__ import annotations

import atexit
import json
import linecache
import os
import signal
import socket
import sys
import traceback
import types
from pathlib import Path
from typing import Any

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect({address!r})
request = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
body = json.dumps(request).encode()
socket.send_fds(connection, [str(len(body)).ljust(16).encode()], [0, 1, 2])
connection.sendall(body)
sys.exit(int(connection.recv(16) or b"1"))
"""


def send(connection: socket.socket, request: dict[str, Any], streams: list[int]) -> None:
    """Send a request with the three standard streams that it is run with."""
    body = json.dumps(request).encode()
    socket.send_fds(connection, [str(len(body)).ljust(16).encode()], streams)
    connection.sendall(body)


def serve(address: str) -> None:
    """Accept requests until the parent ends; each is run by a fork of this process."""
    import accelerate  # noqa: F401
    import cv2  # noqa: F401
    import peft  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchaudio  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    # A fork has none of its parent's threads: OpenMP must not have started any.
    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(16)
    print("ready", flush=True)
    parent = os.getppid()
    server.settimeout(1.0)
    while os.getppid() == parent:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.settimeout(None)
            server.close()
            _handle(connection)
        connection.close()


def _handle(connection: socket.socket) -> None:
    """Run one request in a child and send its exit code. Does not return."""
    header, streams, _, _ = socket.recv_fds(connection, 16, 3)
    body = b""
    while len(body) < int(header):
        body += connection.recv(1 << 16)
    request = json.loads(body)
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os._exit(_run(request))
    _, status = os.waitpid(child, 0)
    try:
        connection.sendall(str(os.waitstatus_to_exitcode(status) & 255).encode())
    finally:
        os._exit(0)


def _run(request: dict[str, Any]) -> int:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False), os.fdopen(2, "w", closefd=False)
    code = 0
    try:
        if "blocks" in request:
            sys.path.insert(0, request["folder"])
            _session(request["blocks"], main)
        else:
            from affectgpt.cli.main import main as command

            sys.argv = ["affectgpt", *request["arguments"]]
            command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _session(folder: str, main: types.ModuleType) -> None:
    """Run the blocks of a page in one namespace: each comes as the path of a file on a line of standard input."""
    for line in sys.stdin:
        path = Path(line.strip())
        code = path.read_text(encoding="utf-8")
        linecache.cache[str(path)] = (len(code), None, code.splitlines(keepends=True), str(path))
        answer = path.with_suffix(".done")
        try:
            exec(compile(code, str(path), "exec"), vars(main))
            answer.write_text("ok")
        except BaseException:
            answer.write_text(traceback.format_exc())


if __name__ == "__main__":
    serve(sys.argv[1])
