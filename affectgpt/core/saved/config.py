"""The config of a saved model: `pipeline.yaml`, and `plugins.json` with the plugins that the model was made with.

The names of its other files stand here, too, so that they are known without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectgpt.core.config import PipelineConfig
from affectgpt.core.load_config import validate
from affectgpt.core.overrides import read_source
from affectgpt.core.saved.earlier_defaults import complete_config
from affectgpt.files.json_object import read_json_object
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, Problem

CONFIG, PLUGINS = "pipeline.yaml", "plugins.json"
WEIGHTS, ADAPTER, ADAPTER_WEIGHTS = "model.safetensors", "adapter", "adapter_model.safetensors"


def load_saved_config(folder: Path, catalog: Catalog, changes: Sequence[str] = ()) -> PipelineConfig:
    """The config of the saved model in `folder`, with `changes` such as `training.steps=10`.

    A setting that the file lacks, because it is younger than the model, has the value from before it existed. Raises
    ConfigError holding every problem found; a file that names plugin code to load is refused.
    """
    source = read_source(folder / CONFIG, changes, complete=complete_config)
    try:
        return validate(source, catalog, allow_plugins=False)
    except ConfigError as error:
        raise ConfigError.from_problems([*error.problems, *_missing_plugins(folder, catalog)]) from error


def _missing_plugins(folder: Path, catalog: Catalog) -> list[Problem]:
    path = folder / PLUGINS
    if not path.is_file():
        return []
    try:
        records = read_json_object(path)
        missing = {
            f"{record['kind']} {record['plugin']!r} from {record['from']} {record['version']}".strip()
            for record in records.values()
            if record["plugin"] not in catalog.names(record["kind"])
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return []
    hint = 'install it, or pass plugins="FILE"'
    return [Problem(f"this model was made with {plugin}", str(path), hint=hint) for plugin in sorted(missing)]
