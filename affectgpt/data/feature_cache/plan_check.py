"""Whether a cache holds what the encoders of a pipeline would give."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectgpt.core.contracts import EncoderConfig
from affectgpt.core.plan import Plan, PlannedNode
from affectgpt.data.feature_cache.file_hashes import FileStat, hash_weights
from affectgpt.data.feature_cache.keys import code_of_encoder, options_of
from affectgpt.data.feature_cache.settings import CacheSettings, EncoderSettings, presence_settings
from affectgpt.media import READ_ANEW
from affectgpt.registry.errors import ConfigError, Problem, join_names

HINT_OTHER_FOLDER = "run encode with this config, into another folder"


@dataclass(frozen=True)
class PlanCheck:
    """The cache in `folder` with its `settings`; `stats` are the files whose hashes it remembers."""

    folder: Path
    settings: CacheSettings
    stats: Mapping[str, FileStat]

    def check(self, plan: Plan) -> None:
        """Raise ConfigError unless every encoder of `plan` is frozen, and here by its name, options and code.

        The plan's `presence` must be that of the cache. Warns of a cache whose files were read by an earlier version.
        """
        problems = [problem for name, node in plan.encoders.items() for problem in self._differences(name, node)]
        presence = presence_settings(plan.config.presence)
        if presence != self.settings.presence:
            problems.append(
                Problem(
                    "the feature cache was made with another presence",
                    "presence",
                    _presence_text(presence),
                    _presence_text(self.settings.presence) + f", as in {self.folder}",
                    HINT_OTHER_FOLDER,
                )
            )
        if self.settings.version == 1 and self.settings.presence is not None:
            problems.append(
                Problem(
                    "the feature cache does not say by what it decided what is present",
                    "presence",
                    f"version 1 of {self.folder}",
                    hint=HINT_OTHER_FOLDER,
                )
            )
        if problems:
            raise ConfigError.from_problems(problems)
        self._warn_of_earlier_reading()

    def _warn_of_earlier_reading(self) -> None:
        read_anew = [text for number, text in READ_ANEW.items() if number > (self.settings.media_version or 1)]
        if read_anew:
            warnings.warn(
                f"the files of the feature cache {self.folder} were read by an earlier version, and these are read in "
                f"another way today: {'; '.join(read_anew)}",
                stacklevel=4,
            )

    def _differences(self, name: str, node: PlannedNode[EncoderConfig]) -> list[Problem]:
        where = f"encoders.{name}"
        settings = self.settings.encoders.get(name)
        if settings is None:
            return [
                Problem(
                    "this encoder is not in the feature cache",
                    where,
                    f"{self.folder} has {join_names(self.settings.encoders)}",
                    hint=HINT_OTHER_FOLDER,
                )
            ]
        problems = []
        if not node.config.frozen:
            problems.append(
                Problem(
                    "an encoder that is trained cannot be read from a feature cache",
                    f"{where}.frozen",
                    "frozen: false",
                    "frozen: true",
                )
            )
        options = _other_options(settings, node)
        if options:
            problems.append(
                Problem(
                    "the feature cache was made with another encoder",
                    where,
                    ", ".join(f"{key}: {planned!r}"[:160] for key, (_, planned) in options.items()),
                    ", ".join(f"{key}: {stored!r}"[:160] for key, (stored, _) in options.items())
                    + f", as in {self.folder}",
                    HINT_OTHER_FOLDER,
                )
            )
        return problems or self._other_code(settings, node)

    def _other_code(self, settings: EncoderSettings, node: PlannedNode[EncoderConfig]) -> list[Problem]:
        where = f"encoders.{node.name}"
        stored = settings.code
        if stored is None and node.entry.is_built_in() and node.config.reads == ("media",):
            stored = {"feature_version": "1"}
        if stored is None:
            return [
                Problem(
                    "the feature cache does not say which code of this encoder made it",
                    where,
                    f"version 1 of {self.folder}",
                    hint=HINT_OTHER_FOLDER,
                )
            ]
        code = code_of_encoder(node)
        missing = [name for name in node.config.reads if name not in self.settings.reads]
        if missing:
            return [
                Problem(
                    "this encoder reads what the feature cache does not tell clips apart by",
                    where,
                    join_names(missing),
                    f"{join_names(self.settings.reads)}, as in {self.folder}",
                    HINT_OTHER_FOLDER,
                )
            ]
        # Weights that are not on this machine cannot be compared, and are not needed; version 1 kept nothing of them.
        paths = node.config.weight_files() if self.settings.version > 1 else ()
        files = {path.name: fact.sha256 for path, fact in hash_weights(paths, self.stats).items()}
        stored_files = settings.files if files else {}
        return [
            Problem(
                f"the feature cache was made with other {what} of this encoder",
                where,
                ", ".join(f"{part} {current.get(part, 'not there')}" for part in parts[:5]),
                ", ".join(f"{part} {former.get(part, 'not there')}" for part in parts[:5]) + f", as in {self.folder}",
                HINT_OTHER_FOLDER,
            )
            for what, former, current in (("code", stored, code), ("weights", stored_files, files))
            if (parts := sorted(part for part in {*former, *current} if former.get(part) != current.get(part)))
        ]


def _presence_text(presence: Mapping[str, Any] | None) -> str:
    return "off" if presence is None else ", ".join(f"{key}: {value}" for key, value in presence.items())


def _other_options(settings: EncoderSettings, node: PlannedNode[EncoderConfig]) -> dict[str, tuple[object, object]]:
    stored = {"plugin": settings.plugin, **settings.options, "width": settings.dim}
    planned = {"plugin": node.entry.spec.name, **options_of(node), "width": node.output.dim}
    return {
        key: (stored.get(key), planned.get(key))
        for key in [*planned, *(stored.keys() - planned.keys())]
        if stored.get(key) != planned.get(key)
    }
