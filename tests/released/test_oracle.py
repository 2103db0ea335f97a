"""A converted checkpoint against what the original's code computed from the same files, in float32."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from affectgpt.core.batch import Batch, collate, pad
from affectgpt.core.config import TrainingConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.model import load
from affectgpt.media import Clip
from affectgpt.registry.discovery import discover
from affectgpt.released.checkpoint_config import parse_config
from affectgpt.released.convert import ConversionRequest, convert
from affectgpt.released.export import export_checkpoint
from affectgpt.released.pipeline_file import ModelPaths
from affectgpt.released.report import ConversionReport
from affectgpt.released.tensor_names import Sizes, expected_tensors
from affectgpt.training.parameter_groups import parameter_groups

BRANCHES = {"face_tokens": "face_llms", "audio_tokens": "audio_llms", "multi": "multi_llms"}
CLIPS = ("s0", "s1")


@dataclass(frozen=True)
class Case:
    """One variant: the converted pipeline, its account, and what the original recorded."""

    folder: Path
    checkpoint: Path
    out: Path
    account: ConversionReport
    pipeline: Pipeline
    batch: Batch
    answers: list[str]
    question: str

    def recorded(self, name: str) -> Any:
        return torch.load(self.folder / name, weights_only=True)


def close(result: Tensor, expected: Tensor, at_most: float = 1e-4) -> None:
    torch.testing.assert_close(result, expected, rtol=0, atol=at_most)


@pytest.fixture(scope="module")
def oracle(shared: Path) -> Path:
    folder = shared / "oracle"
    if not (folder / "inputs" / "prompts.json").is_file():
        pytest.skip(f"no reference tensors in {folder}")
    return folder


def _wording(oracle: Path, file: Path) -> Path:
    content = json.loads((oracle / "inputs" / "prompts.json").read_text(encoding="utf-8"))
    question = content["qa (with dummy sample)"]["out"]
    template = content["prompts"]["multiface_audio_face_text"]["template"]
    file.write_text(
        yaml.safe_dump(
            {
                "template": template.replace("{SUBTITLE}", "{subtitle}").replace("{USER_MESSAGE}", "{question}"),
                "question": question["MERCaptionPlus/description"]["question"],
                "labels_question": question["MERCaptionPlus/ovlabel"]["question"],
                "labels_answer": question["MERCaptionPlus/ovlabel"]["answer"].replace("aa, bb", "{labels}"),
            }
        ),
        encoding="utf-8",
    )
    return file


def split_words(prompt: str, pipeline: Pipeline) -> tuple[str, str]:
    """The subtitle in a recorded prompt, and which of the two questions it asks."""
    table = pipeline.plan.config.prompt
    (question,) = [each for each in (table.question, table.labels_question) if each and each in prompt]
    return re.findall("<Subtitle>(.*)</Subtitle>", prompt)[0], question


def _models(oracle: Path) -> ModelPaths:
    folders = oracle / "hf_models"
    return ModelPaths(str(folders / "tiny-qwen2"), str(folders / "tiny-clip"), str(folders / "tiny-hubert"), "float32")


def opened(oracle: Path) -> list[Clip]:
    media = oracle / "media"
    return [Clip.open(media / "audio" / f"{n}.wav", faces=media / "face" / n / f"{n}.npy") for n in CLIPS]


@pytest.fixture(scope="module", params=["a", "c"])
def case(request: pytest.FixtureRequest, oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    torch.set_num_threads(1)
    built_model, folder = tmp_path_factory.mktemp("converted"), oracle / f"model_{request.param}"
    checkpoint = folder / "checkpoint_000000_loss_0.000.pth"
    expected = ConversionRequest(checkpoint, _models(oracle), prompt=_wording(oracle, built_model / "wording.yaml"))
    account = convert(expected, built_model / "out", discover())
    pipeline = load(built_model / "out", discover())
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    subtitles = [re.findall("<Subtitle>(.*)</Subtitle>", text["prompt"])[0] for text in meta["texts"]]
    answers = [text["target"].removesuffix("###") for text in meta["texts"]]
    prompt = pipeline.plan.config.prompt
    question = prompt.labels_question if meta["variant"]["label"] == "ovlabel" else prompt.question
    batch = collate([pipeline.prepare(clip) for clip in opened(oracle)], subtitles)
    yield Case(folder, checkpoint, built_model / "out", account, pipeline, batch, answers, question or "")


def test_every_tensor_is_accounted_for_and_comes_back(case: Case) -> None:
    before = torch.load(case.checkpoint, weights_only=True)
    assert [row.name for row in case.account.rows[: len(before["model"])]] == list(before["model"])
    assert {row.name for row in case.account.with_fate("kept")} == {"image_llama_proj.weight", "image_llama_proj.bias"}
    export_checkpoint(case.out, case.out.with_name("again.pth"), discover())
    after = torch.load(case.out.with_name("again.pth"), weights_only=True)
    assert list(before["model"]) == list(after["model"])
    assert all(torch.equal(tensor, after["model"][name]) for name, tensor in before["model"].items())
    assert before["config"] == after["config"] and before["epoch"] == after["epoch"]


def test_the_files_become_the_recorded_inputs(case: Case, oracle: Path) -> None:
    recorded = torch.load(oracle / "inputs" / "inputs_shared.pt", weights_only=True)
    face, audio = case.batch.media["face"], case.batch.media["audio"]
    assert face is not None and audio is not None
    assert torch.equal(face.values.transpose(1, 2), recorded["raw_faces_uint8"])
    # The original takes each window's own mean out on the way; here the encoder does.
    close(audio.values - audio.values.mean(dim=-1, keepdim=True), recorded["raw_audios"][:, :, 0], 1e-6)


def test_encoders_and_branches(case: Case) -> None:
    recorded = case.recorded("outputs.pt")
    with torch.no_grad():
        encoded = case.pipeline.encode(case.batch)
        tokens = case.pipeline.fuse(encoded)
        close(encoded["face"].values, recorded["face_hiddens"])
        close(encoded["audio"].values, recorded["audio_hiddens"])
        fused = tokens["multi"].values
        close(fused, recorded["multi_hiddens"][:, None].expand_as(fused))
        for name, theirs in BRANCHES.items():
            assert tokens[name].values.shape[1] == recorded[theirs].shape[1]
            close(case.pipeline.projectors[name](tokens[name].values), recorded[theirs])


def test_embeddings_logits_and_loss(case: Case) -> None:
    recorded, inputs, pipeline = case.recorded("outputs.pt"), case.recorded("inputs.pt"), case.pipeline
    with torch.no_grad():
        tokens = pipeline.fuse(pipeline.encode(case.batch))
        prompts = pipeline.prompts(tokens, case.batch.subtitles, case.question, training=True)
        ids = [pipeline._ids.answer(answer) for answer in case.answers]
        answered = pipeline.embed_rows([[item] for item in ids])
        embeds, mask = pad([torch.cat(pair) for pair in zip(prompts, answered, strict=True)], "right")
        logits = pipeline.llm.logits(embeds, mask)
        loss = pipeline(case.batch, case.answers, case.question)
    for row, real in enumerate(mask):
        # The last is the end marker, which is a label and no input there.
        length = int(real.sum())
        assert length - 1 == int(inputs["attention_masks"][row].sum())
        assert ids[row] == [item for item in inputs["labels"][row].tolist() if item != -100]
        close(embeds[row, :length], recorded["inputs_embeds"][row, :length])
        close(logits[row, : length - 1], recorded["logits"][row, : length - 1])
    close(loss, recorded["loss"])


def test_one_step_of_training(case: Case, oracle: Path) -> None:
    recorded = case.recorded("train_step.pt")
    pipeline = load(case.out, discover())
    loss = pipeline(case.batch, case.answers, case.question)
    groups = parameter_groups(pipeline, TrainingConfig(lr=1e-2, weight_decay=0.05))
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.999))
    loss.backward()
    parameters = dict(pipeline.named_parameters())
    ours = {row.name: row.to[0] for row in case.account.with_fate("mapped")}
    assert set(recorded["grads"]) == set(ours)
    for theirs, name in ours.items():
        gradient = parameters[name].grad
        assert gradient is not None
        close(gradient, recorded["grads"][theirs])
    optimizer.step()
    for theirs, name in ours.items():
        # Adam's first step divides a gradient by its own size: one of rounding errors only may take any step.
        sure = recorded["grads"][theirs].abs() > 1e-6
        close(parameters[name][sure], recorded["after_one_adamw_step_lr1e-2"][theirs][sure])


def test_what_decays(case: Case) -> None:
    meta = json.loads((case.folder / "meta.json").read_text(encoding="utf-8"))
    names = {id(parameter): name for name, parameter in case.pipeline.named_parameters()}
    ours = {row.to[0]: row.name for row in case.account.with_fate("mapped")}
    groups = parameter_groups(case.pipeline, TrainingConfig(weight_decay=0.05))
    decayed = {ours[names[id(parameter)]] for group in groups if group["weight_decay"] for parameter in group["params"]}
    theirs = {name for group in meta["optimizer_groups"] if group["weight_decay"] for name in group["params"]}
    # No gradient reaches the projector of single pictures, so it is not touched there either.
    assert theirs - decayed == {"image_llama_proj.weight"} and decayed <= theirs


@pytest.mark.parametrize("row", range(2))
def test_answering(case: Case, row: int, oracle: Path) -> None:
    recorded, pipeline = case.recorded("infer.pt")[CLIPS[row]], case.pipeline
    words, question = split_words(recorded["prompt"], pipeline)
    batch = collate([pipeline.prepare(opened(oracle)[row])], [words])
    with torch.no_grad():
        encoded = pipeline.encode(batch, one_by_one=True)
        close(encoded["audio"].values, recorded["audio_hiddens"])
        close(encoded["face"].values, recorded["face_hiddens"])
        tokens = pipeline.fuse(encoded)
        for name, theirs in BRANCHES.items():
            close(pipeline.projectors[name](tokens[name].values), recorded[theirs])
        (prompt,) = pipeline.prompts(tokens, [words], question)
        close(prompt[None], recorded["inputs_embeds"])
        mask = torch.ones(1, len(prompt), dtype=torch.bool)
        close(pipeline.llm.logits(prompt[None], mask)[:, -1], recorded["prefill_last_logits"])
        # Stopped by nothing but its length, as it was recorded.
        settings = pipeline.plan.config.generation.model_copy(update={"max_new_tokens": 24, "stop": []})
        (ids,) = pipeline.llm.generate(prompt[None], mask, settings)
    ends = pipeline.llm.end_ids()
    written = [each for each in recorded["generated_ids"][0].tolist() if each not in ends]
    assert ids == written
    settings = settings.model_copy(update={"stop": ["###"]})
    (stopped,) = pipeline.llm.generate(prompt[None], mask, settings)
    assert stopped == written[: len(stopped)]
    # The original cuts at the last "###", here an answer ends before the first: the same but for a model that goes on.
    assert pipeline.llm.decode(ids).partition("###")[0].strip() == recorded["response"].partition("###")[0].strip("#")


def test_the_ids_of_a_prompt(case: Case, oracle: Path) -> None:
    for clip in CLIPS:
        recorded, plan = case.recorded("infer.pt")[clip], case.pipeline.plan
        words, question = split_words(recorded["prompt"], case.pipeline)
        width = plan.llm.output.dim
        places = {name: torch.zeros(1, plan.output(name).tokens, width) for name in plan.projected}
        valid = {name: torch.ones(item.shape[:2], dtype=torch.bool) for name, item in places.items()}
        (row,) = case.pipeline._ids.rows(places, valid, [words], [question])
        ids = [id_ for piece in row for id_ in (piece if isinstance(piece, list) else [None] * len(piece))]
        # Where our row has a node's tokens, the original has the id of a mark, beyond the tokenizer's own.
        marks = json.loads((case.folder / "meta.json").read_text(encoding="utf-8"))["special_ids"]
        assert ids == [None if item >= marks["IMAGE"] else item for item in recorded["prompt_ids"].tolist()]


def _listed(file: Path, kinds: str) -> dict[str, tuple[int, ...]]:
    rows = (re.fullmatch(r"([TFB]) (\S+) \[(.*?)\].*", line) for line in file.read_text(encoding="utf-8").splitlines())
    results = [row.groups() for row in rows if row and row[1] in kinds]
    return {name: tuple(int(size) for size in shape.split(",") if size.strip()) for _, name, shape in results}


def _config(oracle: Path, fusions: dict[str, str], tokens: dict[str, int]) -> dict[str, Any]:
    content = torch.load(oracle / "model_a" / "checkpoint_000000_loss_0.000.pth", weights_only=True)
    config: dict[str, Any] = content["config"]
    config["model"] |= {f"{branch}_fusion_type": fusion for branch, fusion in fusions.items()}
    config["model"] |= {f"num_{branch}_query_token": count for branch, count in tokens.items()}
    return config


VARIANTS = {
    "a": (("attention", "attention", "attention"), (1, 1, 1)),
    "b": (("qformer", "qformer", "qformer"), (8, 8, 16)),
    "c": (("mean", "mean", "attention"), (2, 3, 4)),
}


def _variant(oracle: Path, name: str) -> dict[str, Any]:
    fusions, tokens = (dict(zip(("video", "audio", "multi"), each, strict=True)) for each in VARIANTS[name])
    return _config(oracle, fusions, tokens)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_key_lists(name: str, oracle: Path) -> None:
    values = json.loads((oracle / "hf_models" / "tiny-qwen2" / "config.json").read_text(encoding="utf-8"))
    names = expected_tensors(parse_config(_variant(oracle, name), "test"), Sizes(48, 64, 96, 32, 48), values)
    listed = _listed(oracle / f"KEYS_{name}.txt", "TB")
    assert set(names) == set(listed)
    assert all(each.shape in (None, listed[key]) for key, each in names.items())


def test_the_qformer_variant_goes_there_and_back(oracle: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = {
        name: torch.arange(shape[1])[None] if name.endswith("position_ids") else torch.randn(shape)
        for name, shape in _listed(oracle / "KEYS_b.txt", "TB").items()
    }
    torch.save({"model": model, "config": _variant(oracle, "b"), "epoch": 3}, tmp_path / "b.pth")
    bert = oracle / "hf_models" / "bert-base-uncased"
    expected = ConversionRequest(
        tmp_path / "b.pth", _models(oracle), prompt=_wording(oracle, tmp_path / "words.yaml"), bert=bert
    )
    account = convert(expected, tmp_path / "out", discover())
    assert account.count("kept") == 5 and account.count("mapped") == len(model) - 5
    pipeline = load(tmp_path / "out", discover())
    assert {name: pipeline.plan.output(name).tokens for name in BRANCHES} == {
        "face_tokens": 8,
        "audio_tokens": 8,
        "multi": 16,
    }
    export_checkpoint(tmp_path / "out", tmp_path / "again.pth", discover())
    again = torch.load(tmp_path / "again.pth", weights_only=True)["model"]
    assert list(again) == list(model) and all(torch.equal(again[name], each) for name, each in model.items())


def test_sound_of_another_rate_by_the_default_filter(oracle: Path) -> None:
    """What differs without `resample: sinc`: about a tenth of the sound's deviation where it is largest."""
    recorded = torch.load(oracle / "inputs" / "inputs_shared.pt", weights_only=True)["raw_audios"][1, :, 0]
    clip = opened(oracle)[1]
    waveform = clip.waveform()
    assert waveform is not None
    remainder = torch.from_numpy(waveform).float()
    padded = torch.nn.functional.pad(remainder, (0, 32000 - len(remainder)))
    difference = (padded - padded.mean() - recorded[0]).abs()
    assert 1e-3 < float(difference.max()) < 0.05 and float(difference.mean()) < 0.002
