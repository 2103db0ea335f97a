"""Ask once whether the Hugging Face hub answers, before a client that tries again for a minute is sent to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectgpt.plugins.known_models import MODELS_VARIABLE
from affectgpt.registry.errors import CheckpointError

SECONDS = 5


def reach_hub(name: str) -> None:
    """Raise CheckpointError when the hub, which is to give the model `name`, cannot be reached.

    Nothing is asked where the cache holds some of its files, which the client can do with, and with HF_HUB_OFFLINE
    set: the client then says so itself, at once.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE or (Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}").is_dir():
        return
    no_answer: Any = HfHubHTTPError.__mro__[1]  # of httpx, or of what the installed client has instead
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
