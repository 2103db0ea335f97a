"""Execute the notebooks of `examples/` in a copy of the folder (`make notebooks`); `--write` keeps their outputs."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LIMIT = 20_000
"""Bytes of outputs that a stored notebook may hold."""


def main() -> int:
    """Run every notebook, or those that are named; print the seconds, and the traceback of a cell that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", help="names, e.g. quickstart.ipynb; default: all")
    parser.add_argument("--write", action="store_true", help="store the outputs in examples/")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="notebooks-") as folder:
        copy = Path(folder) / "examples"
        shutil.copytree(EXAMPLES, copy)
        for name in arguments.notebooks or sorted(path.name for path in EXAMPLES.glob("*.ipynb")):
            start = time.monotonic()
            notebook = nbformat.read(EXAMPLES / name, as_version=4)
            client = NotebookClient(
                notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(copy)}}
            )
            try:
                client.execute()
            except CellExecutionError as error:
                failed += 1
                print(f"FAILED  {name}\n{error}")
                continue
            print(f"{time.monotonic() - start:6.1f} s  {name}")
            if arguments.write:
                store(notebook, EXAMPLES / name)
    return 1 if failed else 0


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook with its outputs, without execution times and without the folders of this machine."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        outputs = [output for output in cell.get("outputs", []) if "TqdmWarning" not in output.get("text", "")]
        for output in outputs:
            if "text" in output:
                output["text"] = output["text"].replace(f"{EXAMPLES.parent}/", "")
        if "outputs" in cell:
            cell["outputs"] = outputs
    size = sum(len(str(cell.get("outputs", ""))) for cell in notebook.cells)
    if size > LIMIT:
        raise SystemExit(f"{path.name}: its outputs are {size} bytes, more than {LIMIT}")
    nbformat.write(notebook, path)


if __name__ == "__main__":
    sys.exit(main())
