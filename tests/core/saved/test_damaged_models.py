"""Every way in which a saved model can be wrong: one error each, and nothing in its folder is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from affectgpt.core.saved.model import load
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import AffectGPTError


def change_tensors(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


def change_config(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        config = yaml.safe_load((folder / "pipeline.yaml").read_text())
        change(config)
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(config))

    return apply


KEY = "fusers.multi.mix.weight"


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def pickled(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path(folder / "executed").write_text, ("x",))

    torch.save(Evil(), folder / "model.safetensors")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (change_tensors(lambda tensors: tensors.pop(KEY)), KEY),
    "extra tensor": (change_tensors(lambda tensors: tensors.update(extra=torch.zeros(1))), "extra"),
    "wrong shape": (change_tensors(lambda tensors: tensors.update({KEY: torch.zeros(2, 2)})), r"\[2, 2\]"),
    "wrong dtype": (change_tensors(lambda tensors: tensors.update({KEY: tensors[KEY].int()})), "int32"),
    "not finite": (change_tensors(lambda tensors: tensors[KEY].fill_(float("nan"))), "not finite"),
    "other fusion": (
        change_config(lambda config: config["fusers"].update(multi={"plugin": "concat", "inputs": ["face", "audio"]})),
        KEY,
    ),
    "wrong width": (change_config(lambda config: config["llm"]["architecture"].update(hidden_size=64)), "wrong form"),
    "truncated": (truncate, "cannot be read"),
    "pickle with code": (pickled, "cannot be read"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
    "no config": (lambda folder: (folder / "pipeline.yaml").unlink(), "no pipeline.yaml"),
    "plugin code in the config": (change_config(lambda config: config.update(plugins=["./evil.py"])), "plugins="),
    "unknown plugin": (change_config(lambda config: config["fusers"]["multi"].update(plugin="mine")), "no fuser plug"),
    "stray adapter": (lambda folder: (folder / "adapter").mkdir(), "no lora"),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "tokenizer"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_gives_one_error_and_runs_nothing(saved: Path, catalog: Catalog, damage: str) -> None:
    apply, words = DAMAGE[damage]
    (saved / "evil.py").write_text(f"open({str(saved / 'executed')!r}, 'w').write('x')")
    apply(saved)
    with pytest.raises(AffectGPTError, match=words) as caught:
        load(saved, catalog)
    assert str(saved) in str(caught.value)
    assert not (saved / "executed").exists()


def test_a_model_made_with_a_missing_plugin_says_which(saved: Path, catalog: Catalog) -> None:
    change_config(lambda config: config["fusers"]["multi"].update(plugin="mine"))(saved)
    used = json.loads((saved / "plugins.json").read_text())
    used["multi"] = {"kind": "fuser", "plugin": "mine", "from": "their-package", "version": "2.0"}
    (saved / "plugins.json").write_text(json.dumps(used))
    with pytest.raises(AffectGPTError, match=r"their-package 2\.0"):
        load(saved, catalog)


def test_code_beside_a_tokenizer_is_not_run(saved: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved / "tokenizer" / "tokenizer.json").unlink()
    (saved / "tokenizer" / "tok.py").write_text(f"open({str(saved / 'executed')!r}, 'w').write('x')\nclass Tok: ...")
    (saved / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["tok.Tok", None]}, "tokenizer_class": "Tok"})
    )
    monkeypatch.setattr("builtins.input", lambda *prompt: "y")
    with pytest.raises(AffectGPTError):
        load(saved, catalog)
    assert not (saved / "executed").exists()


def test_a_saved_model_that_reads_a_pickle_needs_leave(saved: Path, catalog: Catalog) -> None:
    change_config(
        lambda config: config["encoders"].update(
            audio={"plugin": "speech", "model": "facebook/hubert-base-ls960", "allow_pickle": True}
        )
    )(saved)
    with pytest.raises(AffectGPTError, match="allow_pickle=True"):
        load(saved, catalog)
    (saved / "speech").mkdir()
    (saved / "speech" / "config.json").write_text(json.dumps({"model_type": "hubert", "hidden_size": 32}))
    change_config(lambda config: config["encoders"]["audio"].update(model=str(saved / "speech")))(saved)
    with pytest.raises(AffectGPTError) as caught:
        load(saved, catalog, allow_pickle=True)
    assert "allow_pickle=True" not in str(caught.value)
