"""The small model's own tokenizer: byte-level BPE learned from what the synthetic clips can say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from affectgpt.synthetic.script import COMBINATIONS, PATTERNS, SUBTITLES, describe_combination

END = "<|im_end|>"


def script_texts(prompts: Iterable[str]) -> list[str]:
    """Every description and English subtitle once, and the words of `prompts` often enough to become whole tokens."""
    described = sorted(
        {
            describe_combination(combination, pattern, face=face, voice=voice)
            for combination in COMBINATIONS
            for pattern in range(PATTERNS)
            for face in (True, False)
            for voice in (True, False)
        }
    )
    return [*described, *(english for english, _ in SUBTITLES), *(list(prompts) * len(described))]


def learn_tokenizer(texts: Iterable[str], folder: Path, *, size: int = 640) -> int:
    """Learn a tokenizer of at most `size` tokens, write it to `folder`, and return how many it has.

    Every byte is a token, so that any text can be written; `END` is the end marker. Raises ValueError when
    `size` leaves no room for these 257.
    """
    if size < 257:
        raise ValueError(f"a tokenizer of all bytes and an end marker has 257 tokens, not {size}")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return int(tokenizer.get_vocab_size())
