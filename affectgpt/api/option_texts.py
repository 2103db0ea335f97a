"""Options of a plugin as texts, `KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable

from affectgpt.registry.errors import ConfigError


def parse_options(texts: Iterable[str]) -> dict[str, object]:
    """The options in `KEY=VALUE` texts, values as in YAML. Raises ConfigError for a text that is none."""
    import yaml

    options: dict[str, object] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        try:
            if not key or not separator:
                raise ValueError("there is no KEY=")
            options[key] = yaml.safe_load(value)
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            raise ConfigError(
                "this is not an option",
                where="changes",
                found=f"{text} ({str(error).splitlines()[0]})",
                expected="KEY=VALUE, the value as in a YAML file",
            ) from None
    return options
