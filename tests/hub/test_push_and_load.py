"""Up to the Hub and back: the real client against a server on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from affectgpt.bundled import TINY

TOKEN, OTHER_TOKEN = "hf_OnlyForTheseTests", "hf_MayNotWriteHere"
FETCHED = {
    "pipeline.yaml",
    "model.safetensors",
    "plugins.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
}


def load(name: str, **options: Any) -> str:
    """Python code that loads a model by name and prints how many fusers it has."""
    return (
        "from affectgpt.hub.loading import from_pretrained\n"
        f"print(len(from_pretrained({name!r}, **{options!r}).fusers))"
    )


def error_of(outcome: Any, code: int) -> str:
    """The one error that a command printed."""
    assert outcome.code == code, outcome.err
    assert outcome.err.count("error: ") == 1 and "Traceback" not in outcome.err and outcome.out == "", outcome.err
    assert outcome.err.startswith("error: "), outcome.err
    assert TOKEN not in outcome.err and OTHER_TOKEN not in outcome.err
    return outcome.err


# -- and back


def test_what_is_pushed_is_loaded_again(hub: Any, asker: Any, saved: Path) -> None:
    pushed = asker("hub", "push", saved, "own/tiny", token=TOKEN)
    assert pushed.code == 0 and pushed.err == "", pushed.err
    sha = hub.repos["own/tiny"].branches["main"]
    assert pushed.out.strip() == f"{hub.url}/own/tiny/commit/{sha}"
    files = hub.repos["own/tiny"].files
    assert files["model.safetensors"] == (TINY / "model.safetensors").read_bytes()
    assert set(files) == FETCHED | {"README.md"}
    assert b"--model own/tiny" in files["README.md"] and not hub.repos["own/tiny"].private
    loaded = asker.python(
        "import torch\nfrom affectgpt import load\nfrom affectgpt.hub.loading import from_pretrained\n"
        f"a, b = from_pretrained('own/tiny'), load({str(TINY)!r})\n"
        "assert all(torch.equal(x, b.state_dict()[n]) for n, x in a.state_dict().items())"
    )
    assert loaded.code == 0, loaded.err
    assert loaded.out == f"own/tiny at commit {sha}, from {hub.url}\n"
    everything = json.dumps([str(each) for each in hub.requests]) + pushed.out + pushed.err
    assert TOKEN not in everything and TOKEN.encode() not in b"".join(files.values())
    assert TOKEN not in "".join(path.read_text(errors="replace") for path in saved.rglob("*") if path.is_file())


def test_commands_take_a_name_of_the_hub(hub: Any, asker: Any, tmp_path: Path) -> None:
    sha = hub.put("own/tiny", TINY).branches["main"]
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    for name, number in (("own/tiny", 1), ("own/tiny@main", 2), (f"own/tiny@{sha}", 3)):
        process = asker("describe", tmp_path / "bad.mp4", "--model", name)
        assert process.code == 2 and "bad.mp4" in process.err, process.err
        assert f"note: own/tiny at commit {sha}, from {hub.url}" in process.err, number


def test_a_branch_is_loaded_as_it_is_there(hub: Any, asker: Any) -> None:
    repo = hub.put("own/tiny", TINY)
    config = repo.files["pipeline.yaml"].replace(b"Emotion?", b"Why?")
    second = repo.commit({**repo.files, "pipeline.yaml": config}, "second")
    for options in ({"revision": "second"}, {"revision": second}):
        process = asker.python(load("own/tiny", **options).replace(".fusers", ".plan.config.prompt.question"))
        assert process.out.splitlines() == [f"own/tiny at commit {second}, from {hub.url}", "4"], process.err


def test_only_files_of_the_format_are_fetched_and_nothing_is_run(hub: Any, asker: Any, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    evil = f"open({str(trap)!r}, 'w')".encode()
    names = [
        "modeling.py",
        "tokenizer/tokenization.py",
        "pytorch_model.bin",
        "adapter/adapter_model.bin",
        "x.pkl",
        "setup.py",
        "data/train.csv",
        "tokenizer/more/vocab.pkl",
        "tokenizer/more/vocab.json",
    ]
    hub.put("own/tiny", TINY, **dict.fromkeys(names, evil))
    assert asker.python(load("own/tiny")).code == 0
    assert hub.fetched == FETCHED and not trap.exists()


def test_names_that_lead_out_of_the_cache_write_nothing_there(hub: Any, asker: Any, tmp_path: Path) -> None:
    names = ["tokenizer/../../../../../../escaped.json", "tokenizer//../../x.json"]
    hub.put("own/tiny", TINY, **dict.fromkeys(names, b"{}"))
    process = asker.python(load("own/tiny"))
    assert process.code != 0 or process.out
    outside = [path for path in tmp_path.rglob("*.json") if path.name in ("escaped.json", "x.json")]
    assert not [path for path in outside if "snapshots" not in path.parts], outside


def test_a_model_that_wants_to_run_code_or_read_a_pickle_is_refused(hub: Any, asker: Any) -> None:
    repo = hub.put("own/tiny", TINY)
    config = repo.files["pipeline.yaml"] + b"plugins: [./evil.py]\n"
    repo.commit({**repo.files, "pipeline.yaml": config, "evil.py": b"boom"})
    process = asker.python(load("own/tiny"))
    assert process.code == -1 and "wants to run plugin code" in process.err and "evil.py" not in hub.fetched


# -- what is not there


def test_what_is_not_there_is_one_error_each(hub: Any, asker: Any, tmp_path: Path) -> None:
    hub.put("own/tiny", TINY)
    hub.put("own/hidden", TINY, private=True)
    hub.put("own/other", None, **{"model.safetensors": b"x" * 100, "config.json": b"{}"})
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    for name, words in (
        ("own/nothing", "there is no such repository on the Hub, or it is private"),
        ("own/hidden", "if it is private, log in with `hf auth login`"),
        ("own/tiny@nothing", "there is no such revision"),
        ("own/tiny@" + "0" * 40, "there is no such revision"),
        ("own/other", "this repository is not a saved model"),
        ("own/ti--ny", "not the name of a model on the Hub"),
    ):
        message = error_of(asker("describe", tmp_path / "bad.mp4", "--model", name), 2)
        assert words in message and name in message, message
    message = error_of(asker("describe", tmp_path / "bad.mp4", "--model", "own/hidden", token=OTHER_TOKEN), 2)
    assert "or it is private" in message
    assert hub.fetched == set()


def test_a_private_repository_opens_with_its_token(hub: Any, asker: Any, tmp_path: Path) -> None:
    hub.put("own/hidden", TINY, private=True)
    process = asker.python(load("own/hidden", token=TOKEN))
    assert process.code == 0 and TOKEN not in process.out + process.err, process.err


def test_a_hub_that_is_down_is_one_error_and_is_not_asked_again(hub: Any, asker: Any, tmp_path: Path) -> None:
    hub.broken = 503
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    message = error_of(asker("describe", tmp_path / "bad.mp4", "--model", "own/tiny"), 1)
    assert "503" in message and hub.url in message
    assert len(hub.requests) == 1


@pytest.mark.parametrize("settings", ["unreached", pytest.param("offline", marks=pytest.mark.slow)])
def test_without_a_hub_it_is_said_at_once(settings: str, fresh: Callable, tmp_path: Path) -> None:
    more = {"HF_HUB_OFFLINE": "1"} if settings == "offline" else {}
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    command = ("describe", tmp_path / "bad.mp4", "--model", "own/tiny")
    process = fresh("http://127.0.0.1:9", tmp_path / "home", *command, **more)
    words = "HF_HUB_OFFLINE is set" if settings == "offline" else "cannot be reached"
    assert process.returncode == 1 and words in process.stderr and "own/tiny" in process.stderr, process.stderr
    assert process.stderr.count("error: ") == 1 and len(process.stderr.splitlines()) <= 4 and process.stdout == ""


def test_what_is_in_the_cache_is_used_without_a_hub(hub: Any, fresh: Callable, tmp_path: Path) -> None:
    sha = hub.put("own/tiny", TINY, **{"tokenizer/more/vocab.json": b"{}"}).branches["main"]
    code = "from affectgpt.hub.loading import local_folder\nprint(local_folder('own/tiny', tell=print))"
    first = fresh(hub.url, tmp_path / "home", code=code)
    assert f"commit {sha}, from {hub.url}" in first.stdout, first.stderr
    again = fresh("http://127.0.0.1:9", tmp_path / "home", code=code)
    assert f"commit {sha}, from the cache" in again.stdout, again.stderr
    assert again.stdout.splitlines()[1] == first.stdout.splitlines()[1] and again.stderr == ""
    # A copy that is not whole is none.
    (Path(first.stdout.splitlines()[1]) / "plugins.json").unlink()
    broken = fresh("http://127.0.0.1:9", tmp_path / "home", code=code, HF_HUB_OFFLINE="1")
    assert broken.returncode != 0 and "no copy in the cache" in broken.stderr, broken.stderr


# -- up


def test_a_second_push_replaces_the_files_of_the_format_and_leaves_others(hub: Any, asker: Any, saved: Path) -> None:
    hub.put(
        "own/tiny",
        TINY,
        **{
            "adapter/adapter_config.json": b"{}",
            "notes/mine.txt": b"kept",
            "tokenizer/old.json": b"{}",
            "tokenizer/theirs/kept.json": b"{}",
        },
    )
    assert asker("hub", "push", saved, "own/tiny", token=TOKEN).code == 0
    names = {"notes/mine.txt", "tokenizer/theirs/kept.json"}
    assert set(hub.repos["own/tiny"].files) == FETCHED | {"README.md"} | names


def test_what_is_no_part_of_the_format_is_not_uploaded(hub: Any, asker: Any, saved: Path) -> None:
    (saved / "tokenizer" / "private").mkdir()
    deep = "tokenizer/private/credentials.json"
    for name in (".env", "train.log", "tokenizer/vocab.pkl", "adapter_backup.bin", deep):
        (saved / name).write_text("secret")
    (saved / "README.md").write_text("# My own words\n")
    assert asker("hub", "push", saved, "own/tiny", token=TOKEN).code == 0
    files = hub.repos["own/tiny"].files
    assert set(files) == FETCHED | {"README.md"} and files["README.md"] == b"# My own words\n"


def test_private_pull_request_and_branch(hub: Any, asker: Any, saved: Path) -> None:
    assert asker("hub", "push", saved, "own/hidden", "--private", token=TOKEN).code == 0
    assert hub.repos["own/hidden"].private
    hub.put("own/open", TINY)
    before = hub.repos["own/open"].files
    for more in ((), ("--pr",)):
        message = error_of(asker("hub", "push", saved, "own/open", "--private", *more, token=TOKEN), 2)
        assert "and is public" in message and hub.repos["own/open"].files == before and hub.proposed == []
    process = asker("hub", "push", saved, "own/open", "--pr", token=TOKEN)
    assert process.out.strip() == f"{hub.url}/own/open/discussions/1", process.err
    assert hub.repos["own/open"].files == before and "README.md" in hub.proposed[0]
    hub.repos["own/open"].branches["second"] = hub.repos["own/open"].branches["main"]
    assert asker("hub", "push", saved, "own/open", "--revision", "second", token=TOKEN).code == 0
    assert hub.repos["own/open"].files == before
    assert "README.md" in hub.repos["own/open"].commits[hub.repos["own/open"].branches["second"]]


def test_a_push_that_cannot_be_is_one_error_each(hub: Any, asker: Any, saved: Path) -> None:
    hub.put("own/tiny", TINY)
    for arguments, token, code, words in (
        (["own/tiny"], "", 2, "no token to write"),
        (["own/tiny"], OTHER_TOKEN, 2, "does not allow this"),
        (["own/tiny", "--revision", "nothing"], TOKEN, 2, "there is no such revision"),
        (["own/nothing", "--pr"], TOKEN, 2, "there is no such repository"),
        (["tiny"], TOKEN, 2, "owner is missing"),
        (["own/tiny", "--pr", "--revision", "second"], TOKEN, 2, "to the main branch"),
    ):
        message = error_of(asker("hub", "push", saved, *arguments, token=token), code)
        assert words in message, message
    assert len(hub.repos["own/tiny"].commits) == 1


def test_a_token_is_not_shown_when_the_client_cannot_send_it(hub: Any, asker: Any, saved: Path) -> None:
    code = (
        "from affectgpt.hub.saving import push_to_hub\n"
        f"push_to_hub({str(saved)!r}, 'own/tiny', token='hf_secret\\x01part')"
    )
    process = asker.python(code + "\n")
    assert process.code == -1 and "secret" not in process.out + process.err and process.err, process.err


def test_a_folder_that_is_no_whole_model_never_reaches_the_hub(
    hub: Any, asker: Any, saved: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert "not a saved model" in error_of(asker("hub", "push", tmp_path / "empty", "own/tiny", token=TOKEN), 2)
    assert "not a saved model" in error_of(asker("hub", "push", tmp_path / "no", "own/tiny", token=TOKEN), 2)
    damaged = tmp_path / "damaged"
    shutil.copytree(saved, damaged)
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:-4])
    assert "cannot be read" in error_of(asker("hub", "push", damaged, "own/tiny", token=TOKEN), 2)
    assert not (damaged / "README.md").exists()
    tensors = load_file(saved / "model.safetensors")
    tensors["projectors.multi.bias"][0] = float("nan")
    shutil.copytree(saved, tmp_path / "nan")
    save_file(tensors, tmp_path / "nan" / "model.safetensors")
    assert "not finite" in error_of(asker("hub", "push", tmp_path / "nan", "own/tiny", token=TOKEN), 2)
    (saved / "scores.json").write_text("{}")
    scored = asker("hub", "push", saved, "own/tiny", "--scores", saved / "scores.json", token=TOKEN)
    assert "not a result of the benchmark" in error_of(scored, 2)
    assert hub.requests == []


def test_a_hub_that_is_down_takes_no_push(fresh: Callable, saved: Path, tmp_path: Path) -> None:
    process: subprocess.CompletedProcess[str] = fresh(
        "http://127.0.0.1:9", tmp_path / "home", "hub", "push", saved, "own/tiny", HF_TOKEN=TOKEN
    )
    assert process.returncode == 1 and "cannot be reached" in process.stderr and TOKEN not in process.stderr, (
        process.stderr
    )
    assert process.stderr.count("error: ") == 1 and len(process.stderr.splitlines()) <= 4
