"""Load a saved model from a folder, or from `owner/name[@revision]` on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.core.saved.config import CONFIG, WEIGHTS
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
    """Load the pipeline saved in a folder, or in the repository `owner/name[@revision]` of the Hub.

    Code that comes with the model is not run: `catalog` must have the plugins that it needs (default: those
    installed). `tell` is called with a line that names the commit. `allow_pickle` as in [load][]. Raises as
    [local_folder][] and [load][].
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
    """Return the folder of a saved model, after its files were downloaded into the cache of the Hub's client.

    The path of a folder is returned unchanged, as is a name that is not of the form `owner/name[@revision]`. Only files
    of a saved model are downloaded. `tell` is called with a line that names the commit. Offline, or when the Hub
    cannot be reached, a complete copy in the cache is used.

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
    """Download `files` into the cache. Returns the folder; with None the cached copy is used, if it is complete."""
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
    """List the model's files on the Hub. None: the Hub cannot be reached, and there is a copy in the cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        # One request without retries, so that a missing network shows at once.
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
