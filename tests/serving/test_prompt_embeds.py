"""The prompts that are sent are the pipeline's own, and cost no layer of the language model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from affectgpt.core.batch import collate
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.model import load, save
from affectgpt.media.clip import Clip
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import CheckpointError, ConfigError
from affectgpt.serving.prompt_embeds import load_for_prompts, prompt_embeds, prompts_of_files


def own_prompts(pipeline: Pipeline, files: list[Path], question: str | None = None) -> list[torch.Tensor]:
    """What the pipeline itself would give to its language model."""
    clips = [Clip.open(path) for path in files]
    batch = collate([pipeline.prepare(clip) for clip in clips], [clip.subtitle for clip in clips])
    with torch.no_grad():
        tokens = pipeline.fuse(pipeline.encode(batch, one_by_one=True))
        return pipeline.prompts(tokens, batch.subtitles, question)


def complete_videos(videos: list[Path]) -> list[Path]:
    return [path for path in videos if path.name != "broken.mp4"]


def test_prompts_are_those_of_the_pipeline_to_the_last_bit(pipeline: Pipeline, videos: list[Path]) -> None:
    expected = own_prompts(pipeline, complete_videos(videos))
    rows = list(prompts_of_files(pipeline, videos, batch_size=len(videos)))
    results = [row.embeds for row in rows if row.embeds is not None]
    assert [row.file for row in rows] == [str(path) for path in videos]
    assert len(results) == len(expected) == 5
    for mine, theirs in zip(results, expected, strict=True):
        assert torch.equal(mine, theirs) and mine.dtype == torch.bfloat16 and mine.device.type == "cpu"
        assert mine.dim() == 2 and not mine.requires_grad


def test_a_broken_clip_has_an_error_and_the_others_their_prompts(pipeline: Pipeline, videos: list[Path]) -> None:
    for workers in (0, 2):
        rows = list(prompts_of_files(pipeline, videos, batch_size=2, workers=workers))
        assert [bool(row.error) for row in rows] == [path.name == "broken.mp4" for path in videos]
        assert all((row.embeds is None) == bool(row.error) for row in rows)
        assert "broken.mp4" in rows[2].error


def test_a_question_reaches_the_prompt_and_one_that_is_too_long_is_refused(
    pipeline: Pipeline, videos: list[Path]
) -> None:
    (row,) = prompts_of_files(pipeline, videos[:1], question="Why?")
    assert row.embeds is not None and torch.equal(row.embeds, own_prompts(pipeline, videos[:1], "Why?")[0])
    with pytest.raises(ConfigError, match="does not fit"):
        prompts_of_files(pipeline, videos[:1], question="why " * 2000)


def test_without_layers_the_prompts_are_the_same(pipeline: Pipeline, model: Path, videos: list[Path]) -> None:
    light = load_for_prompts(model, discover())
    assert not [name for name, _ in light.named_parameters() if ".layers." in name]
    assert light.llm.adapter() is None
    for mine, theirs in zip(
        own_prompts(light, complete_videos(videos)), own_prompts(pipeline, complete_videos(videos)), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_of_a_trained_language_model_the_trained_embeddings_are_used(
    model: Path, tmp_path: Path, videos: list[Path]
) -> None:
    folder = tmp_path / "trained"
    shutil.copytree(model, folder)
    shutil.rmtree(folder / "adapter")
    config = yaml.safe_load((folder / "pipeline.yaml").read_text())
    config["llm"] |= {"lora": None, "frozen": False, "dtype": "float32"}
    config["llm"].pop("lora")
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(config))
    tensors = load_file(folder / "model.safetensors")
    # A saved model whose LLM was trained holds it all: put there what training would.
    from transformers import AutoModelForCausalLM

    trained = AutoModelForCausalLM.from_pretrained(config["llm"]["model"], dtype=torch.float32)
    with torch.no_grad():
        trained.get_input_embeddings().weight.add_(1.0)
    retained = {f"llm.model.{name}": tensor.clone() for name, tensor in trained.state_dict().items()}
    save_file(tensors | retained, folder / "model.safetensors")
    full, light = load(folder, discover()), load_for_prompts(folder, discover())
    assert not [name for name, _ in light.named_parameters() if ".layers." in name]
    assert torch.equal(light.llm.embed(torch.tensor([5, 6])), full.llm.embed(torch.tensor([5, 6])))
    assert torch.equal(own_prompts(light, videos[:1])[0], own_prompts(full, videos[:1])[0])
    # The embeddings themselves must be there.
    del retained["llm.model.model.embed_tokens.weight"]
    save_file(tensors | retained, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="embed_tokens"):
        load_for_prompts(folder, discover())


def test_an_adapter_on_the_embeddings_keeps_the_whole_model(base: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    config = pipeline.plan.llm.config
    assert config.for_prompts().layers == 0 and config.for_prompts().lora is None
    second = config.model_copy(update={"lora": config.lora.model_copy(update={"targets": ("q_proj", "embed_tokens")})})
    assert second.for_prompts() is second


def test_prompts_do_not_depend_on_the_company(pipeline: Pipeline, videos: list[Path]) -> None:
    together = own_prompts(pipeline, complete_videos(videos))
    for path, row in zip(complete_videos(videos), together, strict=True):
        clip = Clip.open(path)
        (single,) = prompt_embeds(pipeline, collate([pipeline.prepare(clip)], [clip.subtitle]))
        assert single.shape == row.shape
        torch.testing.assert_close(single.float(), row.float(), rtol=2e-2, atol=2e-2)


def test_saving_and_loading_keeps_no_layers_option(pipeline: Pipeline, tmp_path: Path) -> None:
    save(pipeline, tmp_path / "again")
    assert "layers" not in yaml.safe_load((tmp_path / "again" / "pipeline.yaml").read_text())["llm"]


def test_clips_are_encoded_as_they_are_for_an_answer(
    pipeline: Pipeline, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, options = pipeline.encode, []
    monkeypatch.setattr(pipeline, "encode", lambda batch, **kwargs: options.append(kwargs) or encode(batch, **kwargs))
    clip = Clip.open(videos[0])
    batch = collate([pipeline.prepare(clip)], [clip.subtitle])
    prompt_embeds(pipeline, batch)
    pipeline.generate(batch)
    assert options[0] == options[1] == {"one_by_one": True}


def test_a_row_says_how_much_of_a_subtitle_was_read(pipeline: Pipeline, videos: list[Path]) -> None:
    note = "the model read 40 of 54 tokens of the subtitle"
    words = "I went to the shop and then, there, I WAS SO ANGRY NOW"
    (row,) = prompts_of_files(pipeline, videos[:1], subtitle=words)
    assert row.notes[-1] == note
    assert note in pipeline.describe(videos[0], subtitle=words).notes
    streamed = [row for _, row in pipeline.stream(videos[0], subtitle=words) if not isinstance(row, str)]
    assert note in streamed[0].notes
    (short,) = prompts_of_files(pipeline, videos[:1], subtitle=words[:40])
    assert not any("tokens of the subtitle" in text for text in short.notes)
