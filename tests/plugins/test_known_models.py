from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from affectgpt.plugins.known_models import _table, config_size, find_model, known_parameters, model_config
from affectgpt.registry.errors import InterfaceError

CLIP = "openai/clip-vit-large-patch14"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    from huggingface_hub import constants

    monkeypatch.delenv("AFFECTGPT_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(folder: Path, text: str = '{"hidden_size": 3}') -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize("name", _table())
def test_the_table_builds_the_real_architecture(name: str) -> None:
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForCausalLM,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    values = model_config(name)
    kind = values.pop("model_type")
    with torch.device("meta"):
        if kind == "clip":
            tower = {key: value for key, value in values["vision_config"].items() if key != "model_type"}
            model = CLIPVisionModelWithProjection(CLIPVisionConfig(**tower))
        else:
            config = AutoConfig.for_model(kind, **values)
            model = (AutoModelForCausalLM if kind == "qwen2" else AutoModel).from_config(config)
            unknown = [key for key in values if not hasattr(type(config)(), key) and key != "rope_theta"]
            assert not unknown
    assert known_parameters(name) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512), ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768), (CLIP, 303_966_208)],
)
def test_published_counts(name: str, count: int) -> None:
    assert known_parameters(name) == count


def test_places_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model("a/b") is None
    snapshot = put(cache / "models--a--b" / "snapshots" / "c0ffee")
    assert find_model("a/b") is None
    (cache / "models--a--b" / "refs").mkdir()
    (cache / "models--a--b" / "refs" / "main").write_text("c0ffee")
    assert find_model("a/b") == snapshot
    monkeypatch.setenv("AFFECTGPT_MODELS", str(tmp_path / "models"))
    last = put(tmp_path / "models" / "b")
    assert find_model("a/b") == last
    full = put(tmp_path / "models" / "a" / "b")
    assert find_model("a/b") == full
    put(tmp_path / "a" / "b", '{"hidden_size": 4}')
    assert find_model("a/b") == Path("a/b")
    assert model_config("a/b") == {"hidden_size": 4}


def test_the_cache_is_read_as_the_hub_library_does(cache: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    snapshot = put(cache / "models--a--b" / "snapshots" / "c0ffee")
    (cache / "models--a--b" / "refs").mkdir()
    (cache / "models--a--b" / "refs" / "main").write_text("c0ffee")
    assert try_to_load_from_cache("a/b", "config.json", cache_dir=cache) == str(snapshot / "config.json")
    assert find_model("a/b") == snapshot


@pytest.mark.parametrize("name", ["", "..", "../../etc", "a/b/c", "a//b", "/nowhere/at/all", "a b", "é/x", "x" * 200])
def test_a_strange_name_is_no_model(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name not in ("", ".."):
        assert find_model(name) is None
    with pytest.raises(InterfaceError):
        model_config(name)


def test_an_unknown_name_says_where_and_what_next() -> None:
    with pytest.raises(InterfaceError) as caught:
        model_config("TencentGameMate/chinese-hubert-larg")
    problem = caught.value.problems[0]
    assert "Hugging Face cache" in problem.found and "hf download" in problem.hint
    assert problem.expected.startswith("did you mean TencentGameMate/chinese-hubert-large")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\xff\xfe", "null"])
def test_a_damaged_config_is_an_error_of_ours(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InterfaceError, match=r"config\.json"):
        model_config(str(folder))


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(InterfaceError, match=r"no config\.json"):
        model_config(str(tmp_path))


@pytest.mark.parametrize("value", ["768", 0, -1, 1.5, True, None])
def test_a_size_that_is_none(value: object) -> None:
    with pytest.raises(InterfaceError, match="hidden_size"):
        config_size({"hidden_size": value}, "hidden_size", 1, where="x")


def test_another_model_on_disk_under_a_known_name_has_no_known_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTGPT_MODELS", str(tmp_path))
    real = model_config(CLIP)
    put(tmp_path / "clip-vit-large-patch14", json.dumps({**real, "transformers_version": "5"}))
    assert known_parameters(CLIP) == 303_966_208
    real["vision_config"]["num_hidden_layers"] = 2
    put(tmp_path / "clip-vit-large-patch14", json.dumps(real))
    assert known_parameters(CLIP) is None


def test_the_table_cannot_be_changed_by_a_reader() -> None:
    model_config(CLIP)["vision_config"]["hidden_size"] = 1
    assert model_config(CLIP)["vision_config"]["hidden_size"] == 1024


def test_no_torch_is_imported() -> None:
    code = (
        "import sys, affectgpt.plugins.encoders.clip_vision_config as c;"
        "import affectgpt.plugins.encoders.open_clip_vision_config as o;"
        f"c.ClipVisionConfig(input='face', model={CLIP!r}).infer();"
        "o.OpenClipVisionConfig(input='face', model='ViT-B-32').infer();"
        "print([m for m in ('torch', 'transformers', 'timm', 'open_clip', 'torchaudio', 'PIL') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("quantization_config", {"quant_method": "awq"}),
        ("_attn_implementation", "kernels-community/own"),
        ("attn_implementation", "somebody/own@v1"),
    ],
)
def test_a_folder_that_asks_for_another_loader_is_refused_by_name(key: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "qwen2", "auto_map": {"AutoModel": "x.Y"}, key: value})
    )
    with pytest.raises(InterfaceError, match=key):
        model_config(str(tmp_path))
    inner = {"auto_map": {"AutoModel": "x.Y"}, "vision_config": {"parts": [{key: value}]}}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", **inner}))
    with pytest.raises(InterfaceError, match=key):
        model_config(str(tmp_path))


def test_names_of_classes_beside_a_folder_are_not_read(tmp_path: Path) -> None:
    names = {"auto_map": {"AutoModel": "x.Y"}}
    values = {"model_type": "gemma3", **names, "vision_config": {"depth": 1, "parts": [names], **names}}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert model_config(str(tmp_path)) == {"model_type": "gemma3", "vision_config": {"depth": 1, "parts": [{}]}}
