"""The tokenizer of a causal LM: read from a folder, or plain bytes for a model that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectgpt.plugins.hub_reach import check_hub
from affectgpt.plugins.llms.tokenizer_files import END, check_growth
from affectgpt.registry.errors import CheckpointError
from affectgpt.registry.messages import is_panic, reason


def read_tokenizer(name: str) -> Any:
    """A transformers tokenizer from a folder (or a hub name). Raises CheckpointError when it has no vocabulary."""
    folder = Path(name)
    try:
        if (folder / "tokenizer.json").is_file():
            check_growth(folder / "tokenizer.json")
            from transformers import PreTrainedTokenizerFast

            tokenizer = PreTrainedTokenizerFast.from_pretrained(name, trust_remote_code=False)
        else:
            from transformers import AutoTokenizer

            if not folder.exists():
                check_hub(name)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except CheckpointError:
        raise
    except BaseException as error:
        # Damaged files raise errors of every kind, of Rust's too.
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise CheckpointError(
            "the tokenizer cannot be read",
            where=name,
            found=reason(error),
            expected="a folder with tokenizer.json, or a model name that can be reached",
        ) from error
    # For a folder without a tokenizer, transformers silently returns an empty one.
    if len(tokenizer.get_vocab()) < 16:
        raise CheckpointError(
            "the tokenizer has no vocabulary",
            where=name,
            found=f"{len(tokenizer.get_vocab())} tokens",
            hint="put tokenizer.json into the folder, or name another with `tokenizer:`",
        )
    if tokenizer.eos_token_id is None:
        raise CheckpointError("the tokenizer has no end-of-text token", where=name, expected="eos_token in its config")
    return tokenizer


def byte_tokenizer() -> Any:
    """One token per byte and an end marker: what a random model without a tokenizer reads."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    wrap: Any = PreTrainedTokenizerFast  # has no annotations
    return wrap(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
