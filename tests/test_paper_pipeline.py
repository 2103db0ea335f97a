"""`affectgpt-paper.yaml` and `affectgpt.yaml` run as they are on folders laid out like the real ones, only smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.model import load, save
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.llms.tokenizer import byte_tokenizer
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.testing import NoiseClip
from affectgpt.training.loop import train

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small models of the three real kinds, under the real names; the HuBERT a pickle, as it is published."""
    from transformers import CLIPConfig, CLIPModel, HubertConfig, HubertModel, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    clip = CLIPConfig(vision_config=tower, text_config={**tower, "vocab_size": 64}, projection_dim=24)
    CLIPModel(clip).save_pretrained(tmp_path / "openai" / "clip-vit-large-patch14")
    speech = HubertModel(
        HubertConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=4,
            num_attention_heads=2,
            conv_dim=[16] * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            do_stable_layer_norm=True,
            feat_extract_norm="layer",
        )
    )
    folder = tmp_path / "TencentGameMate" / "chinese-hubert-large"
    folder.mkdir(parents=True)
    speech.config.save_pretrained(folder)
    torch.save(speech.state_dict(), folder / "pytorch_model.bin")
    llm = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=4096,
        )
    )
    llm.save_pretrained(tmp_path / "Qwen" / "Qwen2.5-7B-Instruct")
    byte_tokenizer().save_pretrained(tmp_path / "Qwen" / "Qwen2.5-7B-Instruct")
    monkeypatch.setenv("AFFECTGPT_MODELS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("name", "width"), [("affectgpt-paper", 24), ("affectgpt", 32), ("train/affectgpt", 24)])
def test_the_pipeline_trains_saves_loads_and_answers(
    name: str, width: int, models: Path, catalog: Catalog, tmp_path: Path
) -> None:
    from affectgpt.data.samples import Sample

    shorter = ["training.steps=1", "training.precision=no", "generation.max_new_tokens=8"]
    config = read_config(ROOT / "configs" / f"{name}.yaml", catalog, shorter)
    pipeline = assemble(make_plan(config))
    assert pipeline.plan.output("face").dim == width and pipeline.llm.model.model.norm.weight.dtype == torch.bfloat16
    trained = {name.split(".")[0] for name, each in pipeline.named_parameters() if each.requires_grad}
    assert trained == {"fusers", "projectors", "llm"}
    media = pipeline.prepare(NoiseClip(pictures=8, seconds=5.0))
    assert media["face"] is not None and media["audio"] is not None and len(media["audio"].values) == 8
    train(pipeline, [Sample("a", media, "hello", "They are glad.")])
    save(pipeline, tmp_path / "saved")
    stored = sorted(path.name for path in (tmp_path / "saved").iterdir())
    assert stored == ["adapter", "model.safetensors", "pipeline.yaml", "plugins.json", "tokenizer"]
    again = load(tmp_path / "saved", discover(), allow_pickle=True)
    batch = collate([media], ["hello"])
    assert again.generate(batch) == pipeline.generate(batch)


class Operators(TorchDispatchMode):
    """The operators that run, by name with what they last returned."""

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[str, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = self.results[func.name()] = func(*args, **(kwargs or {}))
        return result


def nodes_behind(tensor: torch.Tensor) -> set[Any]:
    """The nodes of autograd's graph that a gradient of `tensor` goes through."""
    open_nodes, nodes = [tensor.grad_fn], set()
    while open_nodes:
        node = open_nodes.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            open_nodes += [following for following, _ in node.next_functions]
    return nodes


def on_a_gpu(module: torch.nn.Module) -> None:
    """Give a module weights that only say that they are on a GPU; for use in a FakeTensorMode."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            fake = torch.empty(weight.shape, dtype=weight.dtype, device="cuda")
            part.register_parameter(name, torch.nn.Parameter(fake, weight.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            part.register_buffer(name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda"))


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_the_default_fuser_runs_the_triton_kernels_on_a_gpu(models: Path, catalog: Catalog) -> None:
    """Nothing chooses an implementation, and there is no GPU: tensors without memory stand for those of one."""
    pipeline = assemble(make_plan(read_config(ROOT / "configs" / "affectgpt.yaml", catalog)))
    operator = "affectgpt::absorbed_cross_modal_attention"
    with FakeTensorMode():
        on_a_gpu(pipeline.fusers)
        tokens = {}
        for name, length in (("face", 8 * 257), ("audio", 8 * 99)):
            shape = (3, length)
            values = torch.empty(*shape, pipeline.plan.output(name).dim, device="cuda")
            mask, times = torch.empty(shape, dtype=torch.bool, device="cuda"), torch.empty(shape, device="cuda")
            tokens[name] = Tokens(values, mask, times)
        with Operators() as forward:
            multi = pipeline.fuse(tokens)["multi"].values
        (node,) = [node for node in nodes_behind(multi) if "absorbed_cross_modal_attention" in node.name()]
        with Operators() as backward:
            # Autograd's engine asks for the GPU; a single node does not.
            node.apply(*(torch.empty_like(each) for each in forward.results[operator]))
        with Operators() as evaluation, torch.no_grad():
            pipeline.fuse(tokens)
    assert f"{operator}_backward" in backward.results and operator in evaluation.results


def test_a_missing_model_folder_is_named_with_what_to_do(catalog: Catalog) -> None:
    from affectgpt.registry.errors import CheckpointError

    config = read_config(ROOT / "configs" / "affectgpt-paper.yaml", catalog)
    with pytest.raises(CheckpointError) as caught:
        assemble(make_plan(config))
    assert "openai/clip-vit-large-patch14" in str(caught.value) and "AFFECTGPT_MODELS" in str(caught.value)
