"""Checkpoints of the released AffectGPT: convert one into a saved model, and a converted model back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from affectgpt.api.resolve import Plugins, Progress, catalog_for, optional_path, path_of, progress_callback
from affectgpt.core.saved.destination import check_destination
from affectgpt.registry.errors import CheckpointError
from affectgpt.released.report import ConversionReport as ConversionReport

if TYPE_CHECKING:
    from affectgpt.registry.catalog import Catalog


def convert(
    checkpoint: str | Path,
    out: str | Path,
    *,
    source: str | Path | None = None,
    prompt: str | Path | None = None,
    llm: str = "Qwen/Qwen2.5-7B-Instruct",
    vision: str = "openai/clip-vit-large-patch14",
    speech: str = "TencentGameMate/chinese-hubert-large",
    bert: str | Path | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16",
    face_or_frame: str | None = None,
    sample: bool = False,
    allow_pickle: bool = False,
    plugins: Plugins = (),
    progress: Progress = None,
) -> ConversionReport:
    """Make a saved model in the folder `out` of a released checkpoint (.pth) and three public models.

    - `source`: a copy of the original's source, whose wording is read and of which nothing is run; or `prompt`: a YAML
      file with the wording.
    - `llm`, `vision`, `speech`: the public models, by folder or name. `bert`: a folder with the config.json of the
      Q-Formers' BERT, by default that of bert-base-uncased.
    - `dtype`: in which the LLM's weights are held. `sample`: answer by sampling as the original does, not greedily.
    - `face_or_frame`: which stream is read, as the original calls it; None: as the checkpoint says.
    - `allow_pickle`: whether encoders without safetensors may read a .bin (with `weights_only=True`).

    Raises CheckpointError when `out` is taken, or the checkpoint is damaged or does not fit its own config or the
    models; ConfigError when the wording or a model is not found.
    """
    out = path_of(out, "out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError("there is something at this place already", where=str(out), hint="choose a new folder")
    check_destination(out)
    with progress_callback(progress) as report:
        report("converting", 0, None)
        from affectgpt.released.convert import ConversionRequest
        from affectgpt.released.convert import convert as run
        from affectgpt.released.pipeline_file import ModelPaths

        request = ConversionRequest(
            path_of(checkpoint, "checkpoint"),
            ModelPaths(llm, vision, speech, dtype, allow_pickle),
            optional_path(source, "source"),
            optional_path(prompt, "prompt"),
            optional_path(bert, "bert"),
            face_or_frame,
            sample,
        )
        conversion = run(request, out, _loaded(plugins))
        report("converting", 1, 1)
    return conversion


def export(folder: str | Path, out: str | Path, *, plugins: Plugins = ()) -> ConversionReport:
    """Write a converted model, trained further or not, as the checkpoint file `out` of the original.

    Raises CheckpointError when the model was not converted, has options or tensors that the original has no place for,
    or `out` is taken or cannot be written.
    """
    from affectgpt.released.export import export_checkpoint

    return export_checkpoint(path_of(folder, "folder"), path_of(out, "out"), _loaded(plugins))


def _loaded(plugins: Plugins) -> Catalog:
    catalog = catalog_for(plugins)
    catalog.load_deferred()
    return catalog
