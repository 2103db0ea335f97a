"""A tokenizer's begin marker stands before every prompt: once, first, in training and when it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.plugins.llms.tokenizer import byte_tokenizer
from affectgpt.registry.catalog import Catalog

MARKERS = ["<bos>", "<s>", "[gMASK]", "<sop>"]
# What stands before and behind a text, as the post-processors of Qwen, Gemma and Llama, GLM and T5 have it.
FORMS = {"none": ([], []), "one": (["<bos>"], []), "two": (["[gMASK]", "<sop>"], []), "both": (["<s>"], ["<bos>"])}


def write_tokenizer(folder: Path, before: list[str], behind: list[str]) -> list[int]:
    """The ids of `before`."""
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": MARKERS})
    ids = dict(zip(MARKERS, tokenizer.convert_tokens_to_ids(MARKERS), strict=True))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join([*before, "$A", *behind]), special_tokens=list(ids.items())
    )
    tokenizer.save_pretrained(folder)
    return [ids[name] for name in before]


@pytest.fixture
def build(small: Path, catalog: Catalog, tmp_path: Path) -> Callable[..., Pipeline]:
    def make(*changes: str) -> Pipeline:
        config = read_config(small, catalog, [f"llm.tokenizer={tmp_path / 'tokenizer'}", *changes])
        return assemble(make_plan(config))

    return make


def prompt_ids(pipeline: Pipeline, training: bool) -> list[int]:
    """The ids of a prompt with a subtitle, the nodes' tokens left out."""
    names = pipeline.plan.projected
    projected = {name: torch.zeros(1, 2, 32) for name in names}
    valid = {name: torch.ones(1, 2, dtype=torch.bool) for name in names}
    (row,) = pipeline._ids.rows(projected, valid, ["hello"], ["What?"], training=training)
    return [index for piece in row if isinstance(piece, list) for index in piece]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_it_is_first_and_stands_once(build: Callable[..., Pipeline], tmp_path: Path, form: str, training: bool) -> None:
    start = write_tokenizer(tmp_path / "tokenizer", *FORMS[form])
    ids = prompt_ids(build(), training)
    plain = prompt_ids(build("llm.begin_marker=false"), training)
    assert ids == [*start, *plain] and not set(start) & set(plain)


def test_a_template_that_writes_it_itself_has_it_once(build: Callable[..., Pipeline], tmp_path: Path) -> None:
    (start,) = write_tokenizer(tmp_path / "tokenizer", *FORMS["one"])
    template = ("prompt.template='<bos>{multi} {audio_tokens} {question}'", "prompt.order=[]")
    assert prompt_ids(build(*template), training=False).count(start) == 1


def test_prompts_begin_with_its_embedding_and_their_length_counts_it(
    build: Callable[..., Pipeline], tmp_path: Path, clip: Callable[..., Any]
) -> None:
    from affectgpt.core.batch import collate

    (start,) = write_tokenizer(tmp_path / "tokenizer", *FORMS["one"])
    pipeline = build()
    media = pipeline.prepare(clip())
    batch = collate([media], ["hello"])
    with torch.no_grad():
        (prompt,) = pipeline.prompts(pipeline.fuse(pipeline.encode(batch)), batch.subtitles)
        assert torch.equal(prompt[0], pipeline.llm.embed(torch.tensor([start]))[0])
    without = build("llm.begin_marker=false")
    assert pipeline.prompt_length(media, "hello") == without.prompt_length(media, "hello") + 1
