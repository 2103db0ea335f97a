"""A saved model by the name that a user gives: a folder, or `owner/name[@revision]` on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.core.saved.config import CONFIG
from affectgpt.core.saved.model import WEIGHTS
from affectgpt.hub.connection import SECONDS, endpoint, hub_errors, transport_error
from affectgpt.hub.names import FILES, SUBFOLDERS, HubName, exact_patterns, hub_name, is_model_file
from affectgpt.registry.errors import CheckpointError

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.registry.catalog import Catalog


def from_pretrained(
    name_or_folder: str | Path,
    catalog: Catalog | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    *,
    token: str | None = None,
    tell: Callable[[str], None] = print,
) -> Pipeline:
    """The pipeline saved in a folder, or in the repository `owner/name[@revision]` of the Hub.

    Nothing that comes with the model is run: plugins that it needs must be in `catalog` (default: those installed).
    `tell` is given a line that names the commit that was loaded. `allow_pickle` as in [load][]. Raises what
    [local_folder][] and [load][] raise.
    """
    from affectgpt.core.saved.model import load
    from affectgpt.registry.discovery import discover

    folder = local_folder(name_or_folder, revision, token=token, tell=tell)
    if catalog is None:
        catalog = discover()
        catalog.load_deferred()
    return load(folder, catalog, allow_pickle=allow_pickle)


def local_folder(
    name_or_folder: str | Path,
    revision: str | None = None,
    *,
    token: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """The folder of a saved model; what the Hub holds is fetched into its cache first, only the files of the format.

    A folder that is there is taken as it is, and so is a name that has not the form `owner/name[@revision]`. `tell` is
    given a line that names the commit. Offline, or when the Hub cannot be reached, a whole copy in the cache is taken.

    Raises ConfigError for an invalid name, CheckpointError when there is no such repository or revision or it is no
    saved model, RunError when the Hub cannot be reached or refuses.
    """
    name = hub_name(str(name_or_folder), revision)
    if name is None:
        return Path(name_or_folder)
    with hub_errors(str(name), token):
        files = _list_files(name, token)
        reached = files is not None
        folder = Path(_download(name, token, files))
    if tell is not None:
        source = endpoint() if reached else "the cache: the Hub was not asked"
        tell(f"{name.repo} at commit {folder.name}, from {source}")
    return folder


def _download(name: HubName, token: str | None, files: list[str] | None) -> str:
    """The folder in the cache, with `files` fetched into it; None takes what is there, when it is whole."""
    from huggingface_hub import snapshot_download

    return snapshot_download(
        name.repo,
        revision=name.revision,
        allow_patterns=list(FILES) if files is None else exact_patterns(files),
        ignore_patterns=list(SUBFOLDERS),
        token=token,
        etag_timeout=SECONDS,
        local_files_only=files is None,
    )


def _list_files(name: HubName, token: str | None) -> list[str] | None:
    """The files of the saved model, asked before one is fetched; None: not reached, but a copy is in the cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        # One request, not repeated: without a network this is where it shows, at once.
        info = HfApi(token=token).model_info(name.repo, revision=name.revision, timeout=SECONDS)
    except HfHubHTTPError:
        raise
    except (transport_error(), OfflineModeIsEnabled) as error:
        try:
            _download(name, token, None)
        except LocalEntryNotFoundError:
            raise error from None
        return None
    names = {name.rfilename for name in info.siblings or []}
    missing = [name for name in (CONFIG, WEIGHTS) if name not in names]
    if missing:
        raise CheckpointError(
            "this repository is not a saved model",
            where=str(name),
            found=f"no {' and no '.join(missing)}",
            expected=f"a repository with {CONFIG} and {WEIGHTS}",
        )
    return sorted(name for name in names if is_model_file(name))
