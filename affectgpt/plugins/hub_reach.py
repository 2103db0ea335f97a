"""Check that the Hugging Face hub answers, before its client retries for a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectgpt.plugins.known_models import MODELS_VARIABLE
from affectgpt.registry.errors import CheckpointError

SECONDS = 5


def check_hub(name: str) -> None:
    """Raise CheckpointError when the hub, from which the model `name` is needed, cannot be reached.

    No request is made when the cache holds files of the model, which may be enough, or when HF_HUB_OFFLINE is set,
    which the client reports itself.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE or (Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}").is_dir():
        return
    no_answer: Any = HfHubHTTPError.__mro__[1]  # httpx's error, or that of an older client's library
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except no_answer as error:
        raise CheckpointError(
            f"the model {name!r} is not on this machine, and the Hugging Face hub cannot be reached",
            where=constants.ENDPOINT,
            found=type(error).__name__,
            hint=f"download it where there is a network (hf download {name}), or put its folder under "
            f"${MODELS_VARIABLE}; check HF_ENDPOINT and the proxy",
        ) from None
