"""Every way in which a checkpoint can be wrong: one clear error, nothing written, nothing run."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import AffectGPTError
from affectgpt.released.convert import ConversionRequest, convert
from affectgpt.released.pipeline_file import ModelPaths

LAYER = "llama_model.base_model.model.model.layers.{}."


def model_of(content: dict[str, Any]) -> dict[str, Tensor]:
    result: dict[str, Tensor] = content["model"]
    return result


def put(name: str, tensor: Tensor) -> Callable[[dict[str, Any]], object]:
    return lambda content: model_of(content).update({name: tensor})


def without(*parts: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        model = model_of(content)
        for name in [name for name in model if any(part in name for part in parts)]:
            del model[name]

    return change


def configured(section: str, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["config"][section].update(values)


def rank_eight(content: dict[str, Any]) -> None:
    for name, tensor in model_of(content).items():
        if "lora_A" in name:
            model_of(content)[name] = tensor[:8].clone()
        elif "lora_B" in name:
            model_of(content)[name] = tensor[:, :8].clone()


def not_finite(value: float) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        model_of(content)["attention_mlp.weight"][2, 3] = value

    return change


def wide(content: dict[str, Any]) -> None:
    for name in ("affectgpt_proj", "audio_llama_proj", "multi_llama_proj", "image_llama_proj"):
        model = model_of(content)
        model[f"{name}.weight"] = torch.cat([model[f"{name}.weight"]] * 2)
        model[f"{name}.bias"] = torch.cat([model[f"{name}.bias"]] * 2)


class Called:
    """A pickle of this calls `kind(size)`."""

    def __init__(self, kind: Any, size: int) -> None:
        self.kind, self.size = kind, size

    def __reduce__(self) -> Any:
        return self.kind, (self.size,)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], tuple[str, ...]]] = {
    "a missing key": (without("fc_att.bias"), ("missing", "1: fc_att.bias")),
    "two layers missing": (without(LAYER.format(0), LAYER.format(1)), ("missing", "28: ", "layers.0.self_attn.q_proj")),
    "an extra key": (put("gate.weight", torch.ones(2, 2)), ("do not belong", "gate.weight")),
    "a layer too many": (
        put(LAYER.format(2) + "mlp.up_proj.lora_A.default.weight", torch.ones(16, 32)),
        ("do not belong", "layers.2"),
    ),
    "a wrong shape": (put("fc_att.weight", torch.ones(3, 40)), ("another shape", "fc_att.weight [3, 40]", "[2, 40]")),
    "a huge shape of nothing": (put("fc_att.weight", torch.ones(1, 1).expand(2**20, 2**20)), ("no plain tensor",)),
    "a wrong dtype": (put("fc_att.weight", torch.ones(2, 40).half()), ("another type", "torch.float16")),
    "positions of BERT as floats": (put("fc_att.weight", torch.ones(2, 40, dtype=torch.int64)), ("another type",)),
    "the tensors of another fusion": (without("video_attention_mlp"), ("the fusion of video", "'mean'", "'attention'")),
    "another fusion in the config": (configured("model", video_fusion_type="qformer"), ("the fusion of video",)),
    "an unknown fusion": (configured("model", multi_fusion_type="mean"), ("is unknown", "'mean'")),
    "a fusion that is no text": (configured("model", audio_fusion_type=3), ("model.audio_fusion_type",)),
    "NaN": (not_finite(float("nan")), ("not finite", "attention_mlp.weight")),
    "infinity": (not_finite(float("inf")), ("not finite", "attention_mlp.weight")),
    "another rank": (rank_eight, ("another rank", "8", "16")),
    "another rank in the config": (configured("model", lora_r=4), ("another rank", "16", "4")),
    "a rank that is no number": (configured("model", lora_r="16"), ("lora_r",)),
    "another width": (wide, ("another width", "64 in the checkpoint", "llm=")),
    "another LLM": (configured("model", llama_model="vicuna"), ("llama_model", "Qwen25")),
    "another encoder": (configured("model", visual_encoder="EVA_CLIP_G"), ("visual_encoder",)),
    "another input": (configured("datasets", mercaptionplus={"face_or_frame": "textonly"}), ("reads no clip",)),
    "an input unheard of": (
        configured("datasets", mercaptionplus={"face_or_frame": "multiface_audio_face_txt"}),
        ("unknown", "multiface_audio_face_text"),
    ),
    "no input": (configured("datasets", mercaptionplus={}), ("one input type",)),
    "a count that is no number": (configured("model", num_video_query_token=-1), ("num_video_query_token",)),
    "a rate that is none": (configured("run", init_lr="fast"), ("run.init_lr",)),
    "no config": (lambda content: content.pop("config"), ("no config",)),
    "no model": (lambda content: content.pop("model"), ("not a checkpoint of AffectGPT",)),
    "a config that is none": (lambda content: content.update(config={"model": {1: 2}}), ("no config",)),
    "an epoch that is none": (lambda content: content.update(epoch="five"), ("epoch",)),
    "an entry that is no tensor": (put("fc_att.weight", "text"), ("no plain tensor",)),  # type: ignore[arg-type]
    "sparse tensors": (put("fc_att.weight", torch.eye(2, 40).to_sparse()), ("to be run", "_rebuild_sparse_tensor")),
    "a bytearray of any size": (
        lambda content: content["config"].update(x=Called(bytearray, 2**40)),
        ("asks for code to be run", "bytearray"),
    ),
    "an unmade tensor": (
        lambda content: content["config"].update(x=Called(torch.Tensor, 2**38)),
        ("asks for code to be run", "torch.Tensor"),
    ),
    "complex numbers": (
        put("visual_encoder.model.logit_scale", torch.ones((), dtype=torch.complex64)),
        ("to be run", "ComplexFloatStorage"),
    ),
    "doubles": (
        put("visual_encoder.model.logit_scale", torch.ones((), dtype=torch.float64)),
        ("no plain tensor", "torch.float64", "bfloat16"),
    ),
    "bytes": (
        put(LAYER.format(0) + "input_layernorm.weight", torch.ones(32, dtype=torch.uint8)),
        ("no plain tensor", "torch.uint8"),
    ),
    "a frozen tensor of a model that has none such": (
        put("visual_encoder.model.text_model.zzz", torch.ones(3)),
        ("do not have", "text_model.zzz (vision)", "vision="),
    ),
    "a frozen tensor of sound that is none": (
        put("acoustic_encoder.model.zzz", torch.ones(3)),
        ("do not have", "acoustic_encoder.model.zzz (speech)", "speech="),
    ),
    "a frozen layer too many": (
        put(LAYER.format(99) + "mlp.up_proj.weight", torch.ones(3, 3)),
        ("do not have", "layers.99", "(llm)"),
    ),
    "a frozen tensor of another shape": (
        put(LAYER.format(0) + "input_layernorm.weight", torch.ones(33)),
        ("another shape", "[33], not [32]"),
    ),
    "a module trained whole": (
        put("llama_model.base_model.model.lm_head.modules_to_save.default.weight", torch.ones(300, 32)),
        ("modules_to_save", "lm_head"),
    ),
    "a rate of nothing": (configured("run", init_lr=0), ("run.init_lr", "above 0")),
}


@pytest.fixture
def refused(models: Any, prompt: Path, catalog: Catalog, tmp_path: Path) -> Callable[..., None]:
    def check(checkpoint: Path, *words: str, **options: Any) -> None:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        folders = {
            "llm": str(models.llm),
            "vision": str(models.vision),
            "speech": str(models.speech),
            "dtype": "float32",
        }
        folders |= {key: options.pop(key) for key in list(options) if key in folders}
        request = ConversionRequest(
            checkpoint, ModelPaths(**folders), **({"prompt": prompt, "bert": models.bert} | options)
        )
        with pytest.raises(AffectGPTError) as caught:
            convert(request, tmp_path / "out", catalog)
        assert len(caught.value.problems) == 1, str(caught.value)
        assert caught.value.exit_code == 2 and caught.value.problems[0].where
        for word in words:
            assert word in str(caught.value), str(caught.value)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    return check


@pytest.mark.parametrize("case", WRONG)
def test_a_checkpoint_that_is_wrong(case: str, original: Callable[..., Path], refused: Callable[..., None]) -> None:
    change, words = WRONG[case]
    refused(original(change=change), *words)


def test_models_of_other_sizes(models: Any, original: Callable[..., Path], refused: Callable[..., None]) -> None:
    refused(original(), "another width", "32 in the checkpoint", "48", llm=str(models.llm.with_name("wide-llm")))
    refused(original(), "not on this machine", llm="Qwen/Nowhere")
    qformer = original("qformer", "qformer", "qformer", tokens=(4, 4, 4), name="q.pth")
    refused(qformer, "another width", "16 in the checkpoint", "bert=", bert=None)
    refused(qformer, "BERT cannot be read", bert=models.llm.with_name("none"))


# -- files that are none


class Runs:
    """A pickle of this runs code when it is read by a plain unpickler."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_code_is_not_run(original: Callable[..., Path], refused: Callable[..., None], tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    hidden = original(change=lambda content: content["config"].update(extra=Runs(mark)))
    refused(hidden, "asks for code to be run", "system")
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps({"model": Runs(mark)}))
    refused(plain, "not a whole checkpoint")
    legacy = tmp_path / "legacy.pth"
    torch.save({"model": {}, "config": Runs(mark)}, legacy, _use_new_zipfile_serialization=False)
    refused(legacy, "not a whole checkpoint")
    assert not mark.exists()
    # The same pickle does run where nobody looks.
    pickle.loads(plain.read_bytes())
    assert mark.exists()


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file(
    share: float, original: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    content = original().read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "not a whole checkpoint", "download")


def test_what_is_no_checkpoint(refused: Callable[..., None], tmp_path: Path) -> None:
    refused(tmp_path / "missing.pth", "cannot be read")
    refused(tmp_path, "not a file")
    for name, content in (("empty.pth", b""), ("text.pth", b"weights" * 1000)):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "not a whole checkpoint")
    torch.save([torch.ones(3)], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "not a checkpoint of AffectGPT")
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    refused(tmp_path / "other.pth", "not a checkpoint of AffectGPT", "state_dict")
    os.mkfifo(tmp_path / "pipe.pth")
    refused(tmp_path / "pipe.pth", "not a file")


def repacked(path: Path, out: Path, *, change: Callable[[str, bytes], bytes], packed: bool = False) -> Path:
    """The archive `path` written again, its records changed, and compressed if asked."""
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", method) as new:
        for record in old.infolist():
            new.writestr(record.filename, change(record.filename, old.read(record)))
    return out


def test_bombs(original: Callable[..., Path], refused: Callable[..., None], tmp_path: Path) -> None:
    path = original()
    grown = repacked(
        path,
        tmp_path / "bomb.pth",
        packed=True,
        change=lambda name, data: bytes(50_000_000) if name.endswith("data/0") else data,
    )
    assert grown.stat().st_size < 2_000_000
    refused(grown, "not a file that torch.save made")
    # The directory claims more than the file holds.
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    (tmp_path / "claims.pth").write_bytes(content)
    refused(tmp_path / "claims.pth")
    lying = repacked(path, tmp_path / "short.pth", change=lambda name, data: data[:8] if "data/" in name else data)
    refused(lying, "not a whole checkpoint")


def nested_key(times: int) -> bytes:
    """A pickle of a dict whose key is a tuple of two of a tuple of two ..., each pair one tuple named twice."""
    doubling = b"".join(b"q%ch%c\x86" % (index, index) for index in range(times))
    return b"\x80\x02}X\x01\x00\x00\x00a" + doubling + b"K\x01s."


def test_values_that_unfold_without_end(
    original: Callable[..., Path], refused: Callable[..., None], tmp_path: Path, stopped_after: Callable[..., Any]
) -> None:
    path = original()
    keyed = repacked(
        path, tmp_path / "keyed.pth", change=lambda name, data: nested_key(60) if name.endswith("data.pkl") else data
    )
    shared: list[Any] = ["x"]
    for _ in range(60):
        shared = [shared, shared]
    inside: list[Any] = []
    inside.append(inside)
    with stopped_after(60):
        refused(keyed, "not a whole checkpoint", "neither a text nor a number")
        for value in (shared, inside):
            config: Any = {"model": value}
            unfolding = original(change=lambda content, config=config: content.update(config=config), name="deep.pth")
            refused(unfolding, "no config")
        refused(original(change=lambda content: content.update(epoch=2**40)), "epoch")


# -- the wording


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("template: '{multi} {question}'\nquestion: How?", ("not one for multiface_audio_face_text",)),
        ("template: '<MultiHere><AudioHere><FaceHere>{subtitle}{subtitle}{question}'\nquestion: How?", ("each once",)),
        ("template: hello", ("no question",)),
        ("question: How?", ("no template",)),
        ("template: [1]\nquestion: How?", ("must be a text",)),
        ("other: 1", ("no setting 'other'",)),
        ("- a\n- b", ("must be a mapping",)),
        ("{", ("not valid YAML",)),
    ],
)
def test_a_wrong_prompt_file(
    text: str, words: tuple[str, ...], original: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    refused(original(), *words, prompt=file)


def test_source_and_prompt_are_one_or_the_other(
    original: Callable[..., Path], refused: Callable[..., None], tmp_path: Path
) -> None:
    refused(original(), "wording of the prompt is needed", prompt=None)
    refused(original(), "wording of the prompt is needed", source=tmp_path)
    refused(original(), "no such folder", prompt=None, source=tmp_path / "none")
