"""The examples work as they are: a fuser in one file, and a plugin package installed beside affectgpt."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from affectgpt.cli.main import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "configs" / "tiny.yaml"
ONE_FILE = ROOT / "examples" / "one_file_fuser"
PACKAGE = ROOT / "examples" / "affectgpt-plugin-highway"
SETTINGS = ("training.steps=3", "training.warmup_steps=1", "training.batch_size=2", "generation.max_new_tokens=6")
QUICK = [*(word for setting in SETTINGS for word in ("--set", setting)), "--workers", "0"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short clips in the MER2025 layout."""
    from affectgpt.synthetic.clips import write_clips
    from affectgpt.synthetic.difficulty import Difficulty

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("clips") / "train"
    write_clips(folder, clips=4, seed=2, workers=1, difficulty=Difficulty(seconds=(1.0, 1.2)))
    return folder


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """`affectgpt ARGUMENTS` in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["affectgpt", *map(str, arguments)])
    capsys.readouterr()
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return (code, *capsys.readouterr())


# -- one file


def test_the_pipeline_of_the_one_file_fuser_changes_one_line() -> None:
    text = yaml.safe_load((ONE_FILE / "tiny-highway.yaml").read_text(encoding="utf-8"))
    assert text == {
        "extends": "../../configs/tiny.yaml",
        "plugins": ["./highway.py"],
        "fusers": {"multi": {"plugin": "simple-highway"}},
    }


def test_a_fuser_in_one_file_trains_and_describes(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    command = ("train", ONE_FILE / "tiny-highway.yaml", "--data", clips, "--out", model, *QUICK, "--json")
    code, out, err = run(capsys, monkeypatch, *command)
    assert code == 0, err
    assert json.loads(out)["steps"] == 3
    assert json.loads((model / "plugins.json").read_text())["multi"]["plugin"] == "simple-highway"
    clip = min((clips / "video").iterdir())
    code, out, err = run(capsys, monkeypatch, "describe", clip, "--model", model)
    assert code == 2 and "'simple-highway'" in err and "highway.py" in err and "--plugin" in err
    code, out, err = run(
        capsys, monkeypatch, "describe", clip, "--model", model, "--plugin", ONE_FILE / "highway.py", "--json"
    )
    assert code == 0, err
    assert isinstance(json.loads(out)[0]["text"], str) and not json.loads(out)[0]["error"]


def test_the_one_file_fuser_reads_real_tokens_only_and_says_what_is_absent(catalog: object) -> None:
    from affectgpt import Catalog, Tokens, TokenSpec
    from affectgpt.registry.discovery import load_plugins_from

    assert isinstance(catalog, Catalog)
    load_plugins_from(catalog, str(ONE_FILE / "highway.py"))
    entry = catalog.get("fuser", "simple-highway")
    config = catalog.config_class(entry)(inputs=["face", "audio"])
    specs = {
        "face": TokenSpec(modality="face", dim=3, tokens=4, exact=False),
        "audio": TokenSpec(modality="audio", dim=5, tokens=2, exact=False),
    }
    spec = config.infer(specs)
    torch.manual_seed(0)
    fuser = catalog.target_class(entry)(config, specs, spec)
    face, audio = torch.randn(3, 4, 3), torch.randn(3, 2, 5)
    calls = torch.tensor([[True, True, False, False], [True] * 4, [False] * 4])
    heard = torch.tensor([[True, True], [False, False], [False, False]])
    fused = fuser({"face": Tokens(face, calls), "audio": Tokens(audio, heard)})
    assert fused.values.shape == (3, spec.tokens, spec.dim) == (3, 1, 5)
    assert fused.mask.tolist() == [[True], [True], [False]]
    spoiled = fuser(
        {
            "face": Tokens(face.masked_fill(~calls[..., None], float("nan")), calls),
            "audio": Tokens(audio.masked_fill(~heard[..., None], float("nan")), heard),
        }
    )
    assert torch.equal(fused.values, spoiled.values)
    second = fuser({"face": Tokens(face + 1, calls), "audio": Tokens(audio, heard)})
    assert not torch.equal(fused.values[0], second.values[0])


# -- a package


def installed_by_hand(folder: Path) -> Path:
    """What an installer leaves of the package: its modules, and the metadata that its pyproject.toml states."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    facts, build = project["project"], project["tool"]["hatch"]["build"]["targets"]["wheel"]
    for name in build["packages"]:
        shutil.copytree(PACKAGE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    info = folder / f"{facts['name'].replace('-', '_')}-{facts['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in facts["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path in which the package is installed."""
    folder = installed_by_hand(tmp_path / "site")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "affectgpt_highway"]:
        del sys.modules[name]


def elsewhere(site: Path, *arguments: str) -> str:
    """The command line in a fresh process that finds the package; its standard output."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.run(
        [sys.executable, "-m", "affectgpt.cli.main", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


SWAP = ("--set", "fusers.multi.plugin=highway")


def test_an_installed_package_is_listed_checked_and_trained(
    site: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.loads(elsewhere(site, "plugins", "--json"))
    (highway,) = [each for each in listed["plugins"] if each["name"] == "highway"]
    assert (highway["from"], highway["version"]) == ("affectgpt-plugin-highway", "0.1.0")
    assert listed["broken"] == [] and listed["deferred"] == []
    checked = json.loads(elsewhere(site, "check", "configs/tiny.yaml", *SWAP, "--json"))
    (node,) = [row for row in checked["nodes"] if row["node"] == "multi"]
    assert node["plugin"] == "highway" and node["parameters"] == 2 * 97 * 96 + 2 * 2 * 97 * 96

    model = tmp_path / "model"
    code, _, err = run(capsys, monkeypatch, "train", TINY, "--data", clips, "--out", model, *SWAP, *QUICK)
    assert code == 0, err
    used = json.loads((model / "plugins.json").read_text())["multi"]
    assert (used["from"], used["version"]) == ("affectgpt-plugin-highway", "0.1.0")
    clip = min((clips / "video").iterdir())
    code, out, err = run(capsys, monkeypatch, "describe", clip, "--model", model, "--json")
    assert code == 0, err
    assert isinstance(json.loads(out)[0]["text"], str)


def test_without_the_package_the_plugin_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, monkeypatch, "check", TINY, *SWAP)
    assert code == 2 and "there is no fuser plugin 'highway'" in err


@pytest.mark.slow
def test_the_package_passes_its_own_tests(site: Path) -> None:
    tests = str(PACKAGE / "tests")
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            tests,
            "-c",
            os.devnull,
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tests,
            "-m",
            "not slow",
        ],
        cwd=site,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0 and " passed" in process.stdout, process.stdout


def test_the_package_builds_and_installs(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(PACKAGE, source)
    command = ["pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([sys.executable, "-m", *command, str(source)], check=True, timeout=300)
    names = {path.name for path in target.iterdir()}
    assert {"affectgpt_highway", "affectgpt_plugin_highway-0.1.0.dist-info"} <= names
    by_hand = installed_by_hand(tmp_path / "by_hand")
    (points,) = target.glob("*.dist-info/entry_points.txt")
    (ours,) = by_hand.glob("*.dist-info/entry_points.txt")
    assert points.read_text().split() == ours.read_text().split()


def test_the_guide_shows_the_packages_own_code_and_what_verify_prints(site: Path) -> None:
    guide = (ROOT / "docs" / "how-to" / "write-a-fuser.md").read_text(encoding="utf-8")
    text = elsewhere(site, "plugins", "verify", "highway")
    assert text.strip() in guide
    files = [*PACKAGE.rglob("*.py")]
    code = {line.strip() for file in files for line in file.read_text(encoding="utf-8").splitlines()}
    snippets = [part.split("```")[0] for part in guide.split("```python\n")[1:3]]
    assert "class HighwayConfig" in snippets[0] and "self.read" in snippets[1]
    for line in filter(None, (line.strip() for snippet in snippets for line in snippet.splitlines())):
        assert line in code, line
