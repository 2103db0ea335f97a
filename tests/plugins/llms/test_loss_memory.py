"""The losses of answers take the memory of their own logits, chunk by chunk, and not of those of the prompt."""

from __future__ import annotations

import subprocess
import sys

import pytest

VOCABULARY, WIDTH, CLIPS, PROMPT, ANSWER = 152_000, 896, 8, 1250, 100
INNER = 1792
"""A wider layer has larger activations: with the 4,864 of Qwen2.5-0.5B a training step takes 1.6 GB."""
SCRIPT = f"""
import resource, sys, torch
from torch import nn
from affectgpt.core.answer_losses import NO_TARGET
from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig
architecture = dict(
    model_type="qwen2", vocab_size={VOCABULARY}, hidden_size={WIDTH}, intermediate_size={INNER}, num_hidden_layers=1,
    num_attention_heads=14, num_key_value_heads=2, max_position_embeddings=4096, tie_word_embeddings=True,
)
config = CausalLMConfig(init="random", architecture=architecture, frozen=sys.argv[1] != "train")
llm = CausalLM(config, config.infer())
weights = sum(weight.numel() * weight.element_size() for weight in llm.parameters())
length = {PROMPT + ANSWER}
ids = torch.randint(0, 255, ({CLIPS}, length), generator=torch.Generator().manual_seed(0))
mask = torch.ones(ids.shape, dtype=torch.bool)
targets = torch.full(ids.shape, NO_TARGET)
targets[:, {PROMPT} - 1 : -1] = ids[:, {PROMPT}:]
def losses(rows):
    return llm.token_losses(llm.embed(ids[:rows].flatten()).view(rows, length, -1), mask[:rows], targets[:rows])
with torch.no_grad():
    losses(1)
open("/proc/self/clear_refs", "w").write("5")
before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
if sys.argv[1] == "train":
    losses({CLIPS}).mean().backward()
else:
    with torch.no_grad():
        for _ in range(4):
            losses({CLIPS})
gradients = sum(weight.grad.numel() * 4 for weight in llm.parameters() if weight.grad is not None)
high = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(high.split()[1]) * 1024 - before - gradients)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("mode", ["describe", "train"])
def test_a_large_vocabulary_takes_little_memory(mode: str) -> None:
    process = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, timeout=900)
    assert process.returncode == 0, process.stderr
    extra = int(process.stdout)
    whole_logits = CLIPS * (PROMPT + ANSWER) * VOCABULARY * 4
    print(
        f"{mode}: {extra / 1e9:.2f} GB above the weights and gradients; logits everywhere: {whole_logits / 1e9:.1f} GB"
    )
    assert extra < 1.5e9
