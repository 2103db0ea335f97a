"""Small models of the three kinds, and checkpoints in the original's format with random tensors and other words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.registry.catalog import Catalog
from affectgpt.released.checkpoint_config import parse_config
from affectgpt.released.convert import ConversionRequest, convert
from affectgpt.released.pipeline_file import ModelPaths as Folders
from affectgpt.released.tensor_names import Sizes, expected_tensors

VIDEO, AUDIO, LLM, QFORMER, WIDE = 24, 40, 32, 16, 20
LAYERS = {
    "hidden_size": LLM,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
}
WORDING = """\
template: "Q: All of it: <MultiHere>. Voice: <AudioHere>. Face: <FaceHere>. Said: <Subtitle>{subtitle}</Subtitle>. {question} A: "
question: How does this one feel, and why?
labels_question: Which moods are there?
labels_answer: "I see {labels}."
"""  # noqa: E501 - one template, one line


@dataclass(frozen=True)
class Models:
    """Folders of small models with random weights."""

    llm: Path
    vision: Path
    speech: Path
    bert: Path


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    from transformers import BertConfig, CLIPConfig, CLIPModel, HubertConfig, HubertModel, Qwen2Config, Qwen2ForCausalLM

    from affectgpt.plugins.llms.tokenizer import byte_tokenizer

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    picture = {**tower, "image_size": 32, "patch_size": 16}
    clip = CLIPConfig(vision_config=picture, text_config={**tower, "vocab_size": 64}, projection_dim=VIDEO)
    CLIPModel(clip).save_pretrained(root / "vision")
    HubertModel(
        HubertConfig(
            hidden_size=AUDIO,
            intermediate_size=48,
            num_hidden_layers=4,
            num_attention_heads=2,
            conv_dim=[8] * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            do_stable_layer_norm=True,
            feat_extract_norm="layer",
        )
    ).save_pretrained(root / "speech")
    for name, changes in (("llm", {}), ("wide-llm", {"hidden_size": 48}), ("tied-llm", {"tie_word_embeddings": True})):
        config = Qwen2Config(vocab_size=300, max_position_embeddings=4096, **{**LAYERS, **changes})
        Qwen2ForCausalLM(config).save_pretrained(root / name)
        byte_tokenizer().save_pretrained(root / name)
    BertConfig(hidden_size=QFORMER, intermediate_size=WIDE, num_attention_heads=2).save_pretrained(root / "bert")
    return Models(root / "llm", root / "vision", root / "speech", root / "bert")


def config_of(video: str, audio: str, multi: str, tokens: tuple[int, int, int], reads: str) -> dict[str, Any]:
    """As much of a training run's config as is read."""
    counts = dict(zip(("video", "audio", "multi"), tokens, strict=True))
    return {
        "model": {
            "llama_model": "Qwen25",
            "visual_encoder": "CLIP_VIT_LARGE",
            "acoustic_encoder": "HUBERT_LARGE",
            "video_fusion_type": video,
            "audio_fusion_type": audio,
            "multi_fusion_type": multi,
            **{f"num_{branch}_query_token": count for branch, count in counts.items()},
        },
        "datasets": {"mercaptionplus": {"face_or_frame": reads, "label_type": "hybird"}},
        "run": {
            "init_lr": 2e-5,
            "min_lr": 1e-5,
            "weight_decay": 0.05,
            "max_epoch": 2,
            "iters_per_epoch": 10,
            "batch_size_train": 3,
            "seed": 7,
            "amp": True,
        },
    }


@pytest.fixture
def original(tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint; `change(content)` may damage what is stored before it is written."""

    def write(
        video: str = "attention",
        audio: str = "attention",
        multi: str = "attention",
        *,
        tokens: tuple[int, int, int] = (1, 1, 1),
        reads: str = "multiface_audio_face_text",
        change: Callable[[dict[str, Any]], object] = lambda content: None,
        name: str = "checkpoint.pth",
    ) -> Path:
        config = config_of(video, audio, multi, tokens, reads)
        sizes = Sizes(VIDEO, AUDIO, LLM, QFORMER, WIDE)
        generator = torch.Generator().manual_seed(3)
        model = OrderedDict()
        for key, expected_tensor in expected_tensors(parse_config(config, "test"), sizes, LAYERS).items():
            ids = torch.arange(16)[None]
            model[key] = (
                ids if expected_tensor.shape is None else torch.randn(expected_tensor.shape, generator=generator) * 0.1
            )
        content = {"model": model, "optimizer": {"state": {}}, "config": config, "scaler": None, "epoch": 5}
        change(content)
        path = tmp_path / name
        torch.save(content, path)
        return path

    return write


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    """A file with a wording for the usual kind of input."""
    path = tmp_path / "wording.yaml"
    path.write_text(WORDING, encoding="utf-8")
    return path


@pytest.fixture
def converted(models: Models, prompt: Path, catalog: Catalog, tmp_path: Path) -> Callable[..., Any]:
    def call(checkpoint: Path, out: str = "out", llm: Path | None = None, **options: Any) -> Any:
        folders = Folders(str(llm or models.llm), str(models.vision), str(models.speech), "float32")
        options = {"prompt": prompt, "bert": models.bert, **options}
        return convert(ConversionRequest(checkpoint, folders, **options), tmp_path / out, catalog)

    return call


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / "code" / "inner" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "code"

    return write
