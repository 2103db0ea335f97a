"""The Hugging Face Hub: upload a saved model, write its card."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.api.deprecated import push_with_catalog, save_pretrained_with_catalog, with_former_form
from affectgpt.api.resolve import Plugins, catalog_for, check_dtype, check_pipeline, check_text, optional_path, path_of

if TYPE_CHECKING:
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.registry.catalog import Catalog

_LOG = logging.getLogger("affectgpt")


@with_former_form(push_with_catalog)
def push_to_hub(
    folder: str | Path,
    repo: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    scores: str | Path | None = None,
    plugins: Plugins = (),
) -> str:
    """Upload the saved model in `folder` to the repository `repo` (`owner/name`), and return the commit's address.

    The folder is checked before the Hub is asked anything. A card is written into it unless there is a README.md;
    `scores`, a scores file, writes it anew. The repository is made when there is none, `private` or public; files of
    the format that are there and not in `folder` are removed from it. `create_pr` proposes the upload as a pull request
    to a repository that exists; `revision` is a branch that exists. A model folder of this machine that the config
    names is logged.

    Raises CheckpointError when the folder is not a whole saved model or the repository or branch does not exist,
    ConfigError when the name or the token is wrong or a public repository is to be private, RunError when the Hub
    cannot be reached or refuses.
    """
    folder, scores = path_of(folder, "folder"), optional_path(scores, "scores")
    check_text(repo, "repo")
    catalog = _loaded(plugins)
    from affectgpt.core.saved.config import load_saved_config
    from affectgpt.hub.card_data import local_models
    from affectgpt.hub.saving import push_to_hub as push

    address = push(
        folder,
        repo,
        private=private,
        token=token,
        revision=revision,
        create_pr=create_pr,
        scores=scores,
        catalog=catalog,
    )
    for node, model in local_models(load_saved_config(folder, catalog)).items():
        _LOG.info("the model of %s is a folder of this machine, which others do not have: %s", node, model)
    return address


@with_former_form(save_pretrained_with_catalog)
def save_pretrained(
    pipeline: Pipeline,
    folder: str | Path,
    scores: str | Path | None = None,
    *,
    dtype: str = "float32",
    plugins: Plugins = (),
) -> Path:
    """As [save][affectgpt.save], with a model card; `scores` is a scores file for it. Returns the folder.

    `plugins` are those of the pipeline that are not installed. A README.md that somebody wrote or changed stays. Raises
    what `save` raises, DataError when `scores` is no scores file, and CheckpointError when it is for such a README.md.
    """
    from affectgpt.hub.saving import save_pretrained as write

    check_pipeline(pipeline)
    check_dtype(dtype)
    path = path_of(folder, "folder")
    write(pipeline, path, optional_path(scores, "scores"), catalog=_loaded(plugins), dtype=dtype)
    return path


def model_card(folder: str | Path, scores: str | Path | None = None, *, plugins: Plugins = ()) -> str:
    """The card of a saved model, from its own files and a scores file. Nothing is written.

    Raises CheckpointError when the folder is not a saved model, ConfigError when its config is wrong or needs a plugin
    that is missing, DataError when `scores` is no scores file.
    """
    from affectgpt.hub.card import render_card

    return render_card(path_of(folder, "folder"), _loaded(plugins), optional_path(scores, "scores"))


def write_model_card(folder: str | Path, scores: str | Path | None = None, *, plugins: Plugins = ()) -> Path:
    """Write the [model_card][affectgpt.api.hub.model_card] as README.md of the folder, and return that file.

    Raises the same, and CheckpointError when somebody wrote or changed the README.md that is there.
    """
    from affectgpt.hub.card import write_card

    return write_card(path_of(folder, "folder"), _loaded(plugins), optional_path(scores, "scores"))


def _loaded(plugins: Plugins) -> Catalog:
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    return catalog
