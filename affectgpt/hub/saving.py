"""Save a pipeline with its model card, and upload a saved model to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.core.saved.extras import is_generated
from affectgpt.hub.card import CARD, render_card, write_card
from affectgpt.hub.connection import hub_errors
from affectgpt.hub.inspection import check_saved
from affectgpt.hub.names import files_in, is_model_file, valid_repo, valid_revision
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline


def save_pretrained(
    pipeline: Pipeline,
    folder: str | Path,
    scores: str | Path | None = None,
    *,
    catalog: Catalog | None = None,
    dtype: str = "float32",
) -> None:
    """Save `pipeline` in `folder` as [save][] does, atomically, and with a model card.

    `scores` is a scores file of `affectgpt score` or `affectgpt unibench`; `catalog` must know the pipeline's plugins
    (default: those installed). A README.md that a person wrote or edited is not replaced. Raises as [save][],
    CheckpointError when `scores` would go into such a README.md, and DataError when `scores` is no scores file.
    """
    from affectgpt.core.saved.model import save

    plugins = catalog or _installed()
    name = Path(folder).resolve().name
    card = Path(folder) / CARD
    keep = card.is_file() and not is_generated(card)
    if keep and scores is not None:
        raise CheckpointError(
            f"there is a {CARD} here that was written or changed by somebody",
            where=str(card),
            hint="move it away, or save without scores",
        )
    save(
        pipeline,
        folder,
        dtype=dtype,
        write_extras=None if keep else lambda folder: _write_card_into(folder, plugins, scores, name),
    )


def _write_card_into(folder: Path, catalog: Catalog, scores: str | Path | None, name: str) -> None:
    (folder / CARD).write_text(render_card(folder, catalog, scores, name=name), encoding="utf-8")


def push_to_hub(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    scores: str | Path | None = None,
    catalog: Catalog | None = None,
) -> str:
    """Upload the saved model in `folder` to the repository `repo_id`. Returns the address of the commit.

    The folder is checked before the first request. A model card is written into it if it has no README.md; with
    `scores` the card is written again. A missing repository is created, private or public as `private` says. Files of
    a saved model in the repository that `folder` lacks are deleted; its other files stay. With `create_pr` the upload
    is a pull request to an existing repository. `revision` is an existing branch.

    Raises CheckpointError when the folder is not a whole saved model or the repository or branch is not there,
    ConfigError when the name or the token is wrong or `private` is asked for a repository that is public, RunError
    when the Hub cannot be reached or refuses.
    """
    folder, repo_id = Path(folder), valid_repo(repo_id)
    if revision is not None:
        valid_revision(revision, repo_id)
        if create_pr:
            raise ConfigError("a pull request is to the main branch", where=repo_id, found=f"revision {revision}")
    plugins = catalog or _installed()
    check_saved(folder, plugins)
    if scores is not None or not (folder / CARD).exists():
        write_card(folder, plugins, scores, name=repo_id)
    with hub_errors(repo_id, token):
        return _upload(
            folder, repo_id, private=private, token=_token(token, repo_id), revision=revision, create_pr=create_pr
        )


def _upload(folder: Path, repo_id: str, *, private: bool, token: str, revision: str | None, create_pr: bool) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(token=token, library_name="affectgpt")
    if not create_pr:
        api.create_repo(repo_id, private=private, exist_ok=True)
    if private and not api.model_info(repo_id).private:
        raise ConfigError(
            "this repository is there already, and is public",
            where=repo_id,
            hint="choose another name, make it private on its page, or leave out private=True",
        )
    local_names = files_in(folder)
    # By name: in the client's patterns, `*` also matches the files of subfolders.
    remote_names = [name for name in api.list_repo_files(repo_id, revision=revision) if is_model_file(name)]
    steps: list[CommitOperationAdd | CommitOperationDelete] = [
        *(
            CommitOperationDelete(path_in_repo=name, is_folder=False)
            for name in remote_names
            if name not in local_names
        ),
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in local_names),
    ]
    commit = api.create_commit(
        repo_id, steps, revision=revision, create_pr=create_pr or None, commit_message="Upload a saved model"
    )
    return str(commit.pr_url or commit.commit_url)


def _token(token: str | None, repo_id: str) -> str:
    from huggingface_hub import get_token

    write_token = token or get_token()
    if not write_token:
        raise ConfigError(
            "no token to write to the Hub with",
            where=repo_id,
            hint="log in with `hf auth login`, or put a token into the variable HF_TOKEN",
        )
    return write_token


def _installed() -> Catalog:
    from affectgpt.registry.discovery import discover

    catalog = discover()
    catalog.load_deferred()
    return catalog
