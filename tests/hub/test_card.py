"""The card says what the files say, and nothing that they do not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from safetensors.torch import load_file, save_file

from affectgpt.bundled import TINY
from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.extras import is_generated
from affectgpt.core.saved.model import load, save
from affectgpt.hub.card import render_card, write_card
from affectgpt.hub.headers import weights_per_part
from affectgpt.hub.saving import save_pretrained
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, DataError
from affectgpt.unibench.report.scores_file import render_json
from affectgpt.unibench.result import BenchmarkResult, DatasetResult, Figure

HOSTILE = {
    "html": "<script>alert(1)</script><img src=x onerror=y>",
    "markdown": "[click](javascript:alert(1)) ![x](http://evil.example/x.png) **b** http://evil.example @all",
    "table": "a | b \\| c ` d",
    "lines": "x\n---\nlicense: mit\n---\n# head\n- item\n\n    code",
    "yaml": "x: !!python/object/apply:os.system ['true']",
    "codes": "\x1b[31mred\x07 abc\u202egnorw",
    "comment": "--> <!-- <b>",
    "front": "---",
}


def scored(text: str = "MER2023") -> BenchmarkResult:
    rows = DatasetResult("mer2023", text, "basic", "hit_rate", {"hit_rate": Figure(0.7512, 0.7, 0.8)}, 40)
    return BenchmarkResult(text, (rows,), None, "8 of 9 data sets are missing", settings={"note": text})


@pytest.fixture
def scores(tmp_path: Path) -> Callable[[BenchmarkResult], Path]:
    def write(result: BenchmarkResult) -> Path:
        path = tmp_path / "scores.json"
        path.write_text(render_json(result), encoding="utf-8")
        return path

    return write


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def parsed(text: str) -> tuple[dict[str, Any], Tags, str]:
    """The metadata, the tags of the page, and the page."""
    card = ModelCard(text)
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(card.text)
    return card.data.to_dict(), Tags(html), html


def cells(html: str, name: str) -> list[list[str]]:
    return [
        [cell.split("</td>")[0].split(">", 1)[1] for cell in row.split("<td")[1:]]
        for row in html.split("<tr>")
        if name in row
    ]


def test_the_bundled_model_s_card(catalog: Catalog) -> None:
    text = render_card(TINY, catalog)
    data, tags, html = parsed(text)
    assert data == {"library_name": "affectgpt", "tags": ["affectgpt"], "pipeline_tag": "video-text-to-text"}
    assert tags.links == ["#use"] and "script" not in tags.names
    total = sum(each.numel() for each in load(TINY, catalog).parameters() if each.requires_grad)
    assert f"Trained weights: {total:,}." in text
    config = yaml.safe_load((TINY / "pipeline.yaml").read_text())
    for name, node in {**config["encoders"], **config["fusers"], "llm": config["llm"]}.items():
        assert [row for row in cells(html, name) if row[:1] == [name] and node["plugin"] in row], name
    assert ["steps", str(config["training"]["steps"])] in cells(html, "steps") and ["lr", "0.004"] in cells(html, "lr")
    assert json.loads((TINY / "plugins.json").read_text())["face"]["version"] in html
    for unknown in ("No scores were given", "licence of these weights is not stated", "trained on are not stated"):
        assert unknown in text
    assert "license" not in data and "model-index" not in data


def test_weights_are_counted_part_by_part_as_the_modules_have_them() -> None:
    counts = weights_per_part(TINY / "model.safetensors")
    pipeline = load(TINY, __import__("affectgpt").discover())
    parts = {"llm": pipeline.llm} | {f"fusers.{n}": m for n, m in pipeline.fusers.items()}
    parts |= {f"encoders.{n}": m for n, m in pipeline.encoders.items()}
    parts |= {f"projectors.{n}": m for n, m in pipeline.projectors.items()}
    assert counts == {name: sum(each.numel() for each in module.parameters()) for name, module in parts.items()}


def test_equal_matrices_count_twice_unless_one_is_the_other(tmp_path: Path) -> None:
    one = torch.randn(3, 4)
    save_file(
        {
            "llm.a": one,
            "llm.b": one.clone(),
            "llm.c": one + 1,
            "llm.zero": torch.zeros(3, 4),
            "llm.none": torch.zeros(3, 4),
            "llm.bias": torch.ones(4),
            "fusers.x.w": one.clone(),
            "llm.n.running_mean": torch.ones(7),
        },
        tmp_path / "x.safetensors",
    )
    assert weights_per_part(tmp_path / "x.safetensors") == {"llm": 4 * 12 + 4, "fusers.x": 12}


def adapted(tmp_path: Path, catalog: Catalog) -> tuple[Path, Any]:
    path = tmp_path / "adapted.yaml"
    path.write_text(
        "encoders: {audio: {plugin: mel, n_mels: 16, stack: 10, max_seconds: 2}}\n"
        "fusers: {mean: {plugin: mean, inputs: [audio]}}\n"
        "llm: {plugin: causal-lm, init: random, lora: {r: 3, alpha: 6}, architecture: {model_type: qwen2,"
        " hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2,"
        " num_key_value_heads: 1, max_position_embeddings: 1024, vocab_size: 300}}\n"
        "prompt: {template: affectgpt, order: [mean, subtitle]}\ngeneration: {max_new_tokens: 12}\n"
    )
    config = read_config(path, catalog)
    pipeline = assemble(make_plan(config))
    return tmp_path / "adapted", pipeline


def test_frozen_parts_are_not_counted_as_trained(tmp_path: Path, catalog: Catalog) -> None:
    folder, pipeline = adapted(tmp_path, catalog)
    save_pretrained(pipeline, folder, catalog=catalog)
    text = (folder / "README.md").read_text()
    trained = sum(each.numel() for each in pipeline.parameters() if each.requires_grad)
    data, _, html = parsed(text)
    assert f"Trained weights: {trained:,}." in text and "# adapted" in text
    (row,) = cells(html, "adapter (LoRA)")
    assert row[2] == "yes" and [r for r in cells(html, ">llm<") if r[2:3] == ["no"]]
    assert data["pipeline_tag"] == "audio-text-to-text"


def test_save_pretrained_writes_what_save_writes_and_the_card(tmp_path: Path, catalog: Catalog) -> None:
    folder, pipeline = adapted(tmp_path, catalog)
    save(pipeline, tmp_path / "plain")
    save_pretrained(pipeline, folder, catalog=catalog)
    plain = {
        path.relative_to(tmp_path / "plain"): path.read_bytes()
        for path in (tmp_path / "plain").rglob("*")
        if path.is_file()
    }
    mine = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert mine.pop(Path("README.md")) and mine == plain
    again = load(folder, catalog)
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in pipeline.state_dict().items())


def test_wrong_scores_leave_nothing_behind(tmp_path: Path, catalog: Catalog) -> None:
    folder, pipeline = adapted(tmp_path, catalog)
    (tmp_path / "scores.json").write_text('{"system": 1}')
    before = set(tmp_path.iterdir())
    with pytest.raises(DataError):
        save_pretrained(pipeline, folder, tmp_path / "scores.json", catalog=catalog)
    assert set(tmp_path.iterdir()) == before


def test_scores_are_those_of_the_file(catalog: Catalog, scores: Callable) -> None:
    text = render_card(TINY, catalog, scores(scored()), name="own/tiny")
    data, _, html = parsed(text)
    (row,) = cells(html, "MER2023</td>")[:1]
    assert row[:5] == ["MER2023", "basic", "hit rate", "75.12", "70.00 to 80.00"] and "40" in row
    assert "wheels are not the official ones" in text and "No scores were given" not in text
    (index,) = data["model-index"]
    (result,) = index["results"]
    assert index["name"] == "own/tiny" and result["dataset"] == {"name": "MER2023", "type": "mer2023"}
    assert result["metrics"] == [{"type": "hit_rate", "value": 75.12, "name": "hit rate x 100"}]
    assert "--model own/tiny" in text


def test_a_score_without_a_value_is_not_among_the_results(catalog: Catalog, scores: Callable) -> None:
    result = scored()
    row = replace(result.datasets[0], figures={"hit_rate": Figure(None)})
    data, _, _ = parsed(render_card(TINY, catalog, scores(replace(result, datasets=(row,)))))
    assert "model-index" not in data


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_texts_are_shown_never_obeyed(case: str, catalog: Catalog, scores: Callable, tmp_path: Path) -> None:
    bad = HOSTILE[case]
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    config = yaml.safe_load((folder / "pipeline.yaml").read_text())
    config["prompt"]["question"] = bad
    config["prompt"]["template"] = config["prompt"]["template"] + bad
    config["llm"]["architecture"]["note"] = bad
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(config))
    (folder / "plugins.json").write_text(json.dumps({bad: {"kind": bad, "plugin": bad, "from": bad, "version": bad}}))
    text = render_card(folder, catalog, scores(scored(bad)), name=bad)
    data, tags, html = parsed(text)
    assert tags.names <= {
        "h1",
        "h2",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "a",
        "pre",
        "code",
        "strong",
    }, tags.names
    assert tags.links == ["#use"]
    assert set(data) == {"library_name", "tags", "pipeline_tag", "model-index"} and data["library_name"] == "affectgpt"
    assert not any(item in text for item in ("\x1b", "\x07", "\u202e"))
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        f"## {item}" for item in ("Pipeline", "Weights", "Training", "Scores", "Plugins", "What is not known", "Use")
    ]
    widths = {len(row) for row in cells(html, ">language model<")}
    assert widths == {6} and html.count("<pre>") == 1
    # The comment at the end is ours, and the page ends there.
    assert text.count("<!-- affectgpt card") == 1 and "MER2023" not in text


def test_a_local_model_s_path_is_not_published(catalog: Catalog, tmp_path: Path, saved: Path) -> None:
    config = yaml.safe_load((saved / "pipeline.yaml").read_text())
    base = tmp_path / "secret-place" / "qwen"
    base.mkdir(parents=True)
    (base / "config.json").write_text(json.dumps(config["llm"]["architecture"]))
    config["llm"] |= {"model": str(base)}
    del config["llm"]["architecture"]
    config["llm"]["init"] = "pretrained"
    (saved / "pipeline.yaml").write_text(yaml.safe_dump(config))
    text = render_card(saved, catalog)
    assert "secret-place" not in text and "a local folder, qwen" in text
    assert "The model of llm is a folder of the machine" in text and "base_model" not in ModelCard(text).data.to_dict()


def test_models_of_the_hub_are_named_with_no_word_on_their_licence(catalog: Catalog, saved: Path) -> None:
    config = yaml.safe_load((saved / "pipeline.yaml").read_text())
    config["llm"] = {"plugin": "causal-lm", "model": "Qwen/Qwen2.5-7B-Instruct"}
    config["encoders"]["audio"] = {"plugin": "speech", "model": "own/hubert", "allow_pickle": True}
    (saved / "pipeline.yaml").write_text(yaml.safe_dump(config))
    text = render_card(saved, catalog)
    assert ModelCard(text).data.base_model == ["own/hubert", "Qwen/Qwen2.5-7B-Instruct"]
    assert "It needs own/hubert, Qwen/Qwen2.5-7B-Instruct" in text and "not stated here" in text
    assert "--allow-pickle" in text


def test_saving_again_keeps_somebody_s_words(tmp_path: Path, catalog: Catalog, scores: Callable) -> None:
    pipeline, folder = load(TINY, catalog), tmp_path / "again"
    save_pretrained(pipeline, folder, catalog=catalog)
    save_pretrained(pipeline, folder, scores(scored()), catalog=catalog)
    assert "75.12" in (folder / "README.md").read_text()
    (folder / "README.md").write_text("# Mine\n")
    save_pretrained(pipeline, folder, catalog=catalog)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(CheckpointError, match="written or changed by somebody"):
        save_pretrained(pipeline, folder, scores(scored()), catalog=catalog)
    assert (folder / "README.md").read_text() == "# Mine\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_card_is_written_again_but_not_over_somebody_s_words(catalog: Catalog, saved: Path, scores: Callable) -> None:
    path = write_card(saved, catalog)
    assert is_generated(path) and "No scores" in path.read_text()
    assert "75.12" in write_card(saved, catalog, scores(scored())).read_text()
    for changed in (path.read_text().replace("Trained", "Huge"), path.read_text() + "more", "# Mine\n", ""):
        path.write_text(changed)
        assert not is_generated(path)
        with pytest.raises(CheckpointError, match="written or changed by somebody"):
            write_card(saved, catalog)
        assert path.read_text() == changed
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="by somebody"):
        write_card(saved, catalog)


@pytest.mark.parametrize("content", ["{", "[]", '{"face": 3}', "[" * 5000, "\ud83d"])
def test_a_card_needs_no_readable_plugins_file(content: str, catalog: Catalog, saved: Path) -> None:
    (saved / "plugins.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    assert "does not say which plugins" in render_card(saved, catalog)


def test_no_card_of_what_is_no_saved_model(tmp_path: Path, catalog: Catalog, saved: Path) -> None:
    with pytest.raises(CheckpointError, match="not a saved model"):
        render_card(tmp_path, catalog)
    tensors = load_file(saved / "model.safetensors")
    assert tensors
    (saved / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        render_card(saved, catalog)
