"""MkDocs hook: pages of commands, plugins and modules from the live package, and links to files of the repository."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "source"
"""Folder of the site that holds the files of the repository which the pages link to."""
_LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]+)")
_TEXT = {".py": "python", ".toml": "toml", ".yml": "yaml", ".yaml": "yaml", ".md": "markdown"}


def on_config(config: Any) -> Any:
    """Put the generated pages into the navigation."""
    sys.path.insert(0, str(ROOT))
    reference = next(entry["Reference"] for entry in config.nav if isinstance(entry, dict) and "Reference" in entry)
    if (Path(config.docs_dir) / "reference" / "python.md").exists():
        reference.append({"Python": "reference/python.md"})
    reference.append({"Public names": [{title: path} for path, title, _ in _public_pages()]})
    reference.append({"Command line": ["reference/cli/index.md", *(path for path, _ in _command_pages())]})
    reference.append({"Plugins": ["reference/plugins/index.md", *(path for path, _ in _plugin_pages())]})
    reference.append({"Modules": [{title: path} for path, title, _ in _module_pages()]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages, and every file of the repository that a page links to."""
    from mkdocs.structure.files import File

    pages = [(path, text) for path, _, text in (*_public_pages(), *_module_pages())]
    pages += [*_command_pages(), *_plugin_pages(), _command_index(), _plugin_index()]
    for path, text in pages:
        files.append(File.generated(config, path, content=text))
    for target in sorted(_linked_files(Path(config.docs_dir))):
        for path, content in _source_files(target):
            files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links to files outside `docs/` lead to their copies in the site."""

    def replace(match: re.Match[str]) -> str:
        target = _outside(page.file.src_uri, match.group(1))
        if target is None:
            return match.group(1)
        suffix = "/index.md" if (ROOT / target).is_dir() else ""
        return relpath(f"{SOURCE}/{target}{suffix}", PurePosixPath(page.file.src_uri).parent.as_posix())

    return _LINK.sub(replace, markdown)


def _outside(page: str, link: str) -> str | None:
    """The repository path that a link of a page leads to, None when that is inside `docs/`."""
    target = normpath(f"docs/{PurePosixPath(page).parent.as_posix()}/{link}")
    return None if target.startswith("docs/") else target


def _linked_files(folder: Path) -> set[str]:
    pages = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")}
    links = (_outside(page, link) for page, text in pages.items() for link in _LINK.findall(text))
    return {target for target in links if target is not None and (ROOT / target).exists()}


def _source_files(target: str) -> Iterator[tuple[str, str | bytes]]:
    path = ROOT / target
    if path.is_file():
        yield f"{SOURCE}/{target}", path.read_bytes()
        return
    parts = [f"# `{target}`\n"]
    for file in sorted(path.rglob("*")):
        if file.suffix in _TEXT and "__pycache__" not in file.parts:
            code = file.read_text(encoding="utf-8").rstrip("\n")
            parts.append(f"## `{file.relative_to(path).as_posix()}`\n\n`````{_TEXT[file.suffix]}\n{code}\n`````\n")
    yield f"{SOURCE}/{target}/index.md", "\n".join(parts)


# --- public names and modules ---------------------------------------------------------------------------------------


def _public_pages() -> Iterator[tuple[str, str, str]]:
    """A page per subject: functions by the module of `affectgpt.api` that holds them, the other names by room."""
    import affectgpt

    groups: dict[str, list[str]] = {}
    for name in affectgpt.__all__:
        if name.startswith("__"):
            continue
        module = getattr(getattr(affectgpt, name), "__module__", "affectgpt")
        parts = module.split(".")
        inside_api = parts[:2] == ["affectgpt", "api"] and len(parts) > 2
        groups.setdefault(parts[2] if inside_api else "types", []).append(name)
    for group in sorted(groups, key=lambda group: (group == "types", group)):
        title = group.replace("_", " ").capitalize()
        blocks = "\n\n".join(f"::: affectgpt.{name}" for name in sorted(groups[group], key=str.lower))
        yield f"reference/api/{group}.md", title, f"# {title}\n\n{blocks}\n"
    yield (
        "reference/api/testing.md",
        "affectgpt.testing",
        f"# `affectgpt.testing`\n\n{_module_block('affectgpt.testing')}",
    )


def _module_pages() -> Iterator[tuple[str, str, str]]:
    """A page per room of the package, with all its modules."""
    for room in sorted(path.parent for path in (ROOT / "affectgpt").glob("*/__init__.py")):
        if room.name in ("api", "bundled", "scaffold", "testing"):
            continue
        name = f"affectgpt.{room.name}"
        yield f"reference/modules/{room.name}.md", name, f"# `{name}`\n\n{_module_block(name)}"


def _module_block(name: str) -> str:
    return f"::: {name}\n    options:\n      show_submodules: true\n      show_root_full_path: true\n"


# --- the command line -----------------------------------------------------------------------------------------------


def _commands() -> Iterator[tuple[str, Any]]:
    """Each command of the application with its full name; groups come before their commands."""
    import typer.main

    from affectgpt.cli.main import application

    for name, command in sorted(typer.main.get_command(application()).commands.items()):
        yield name, command
        yield from ((f"{name} {child}", part) for child, part in sorted(getattr(command, "commands", {}).items()))


def _command_pages() -> Iterator[tuple[str, str]]:
    pages: dict[str, list[str]] = {}
    for name, command in _commands():
        first, _, rest = name.partition(" ")
        level = "##" if rest else "#"
        pages.setdefault(first, []).append(f"{level} affectgpt {name}\n\n{_command_text(name, command)}")
    for first, parts in pages.items():
        yield f"reference/cli/{first}.md", "\n".join(parts)


def _command_index() -> tuple[str, str]:
    lines = [
        "# The command line",
        "",
        "`affectgpt --help` prints the list, `affectgpt COMMAND --help` one command.",
        "",
    ]
    lines += ["| command | what it does |", "|---|---|"]
    for name, command in _commands():
        page, _, rest = name.partition(" ")
        anchor = f"#affectgpt-{page}-{rest}" if rest else ""
        lines.append(f"| [`{name}`]({page}.md{anchor}) | {_cell((command.help or '').splitlines()[0])} |")
    return "reference/cli/index.md", "\n".join(lines) + "\n"


def _command_text(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join(_metavar(parameter) for parameter in arguments)
    lines = [command.help or "", "", "```text", f"affectgpt {name} {usage} [OPTIONS]".replace("  ", " "), "```", ""]
    if arguments:
        lines += ["| argument | |", "|---|---|"]
        lines += [f"| `{_metavar(parameter)}` | {_cell(parameter.help or '')} |" for parameter in arguments]
        lines.append("")
    if options:
        lines += ["| option | value | default | |", "|---|---|---|---|"]
        for parameter in options:
            flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
            cells = (flags, _value_kind(parameter), _default(parameter), _cell(parameter.help or ""))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _metavar(parameter: Any) -> str:
    text = (parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
    return text if parameter.required else f"[{text}]"


def _value_kind(parameter: Any) -> str:
    if parameter.is_flag:
        return ""
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if get_origin(annotation) is Literal:
        return _cell(", ".join(f"`{choice}`" for choice in get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _cell(", ".join(f"`{choice.value}`" for choice in annotation))
    names = {"str": "text", "int": "whole number", "float": "number", "Path": "path", "bool": ""}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, _cell(name)) + (", repeatable" if parameter.multiple else "")


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return _cell(parameter.show_default)
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    if parameter.required:
        return "required"
    return "" if default in (None, False, [], ()) else f"`{_cell(str(default))}`"


# --- plugins --------------------------------------------------------------------------------------------------------


@cache
def _plugins() -> tuple[dict[str, Any], ...]:
    """What `affectgpt plugins show --json` prints of every built-in plugin."""
    pages: list[dict[str, Any]] = []
    rows = [row for row in _printed("plugins", "--json")["plugins"] if row["from"] == "affectgpt"]
    for name in dict.fromkeys(row["name"] for row in rows):
        kinds = {row["kind"] for row in rows if row["name"] == name}
        pages += [facts for facts in _printed("plugins", "show", name, "--json") if facts["kind"] in kinds]
    return tuple(pages)


def _printed(*arguments: str) -> Any:
    """The JSON that a command prints."""
    from affectgpt.cli.main import main

    output, before = io.StringIO(), sys.argv
    sys.argv = ["affectgpt", *arguments]
    try:
        with contextlib.redirect_stdout(output):
            main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"affectgpt {' '.join(arguments)} ended with {end.code}") from end
    finally:
        sys.argv = before
    return json.loads(output.getvalue())


def _plugin_pages() -> Iterator[tuple[str, str]]:
    for facts in _plugins():
        lines = [
            f"# {facts['kind']} `{facts['name']}`",
            "",
            facts["summary"].rstrip(".") + ".",
            "",
            "| | |",
            "|---|---|",
        ]
        lines.append(f"| interface | {_cell(facts['interface'])} |")
        lines += [f"| paper | {_cell(facts['citation'])} |"] if facts["citation"] else []
        lines += [f"| needs | `{facts['requires']}` |"] if facts["requires"] else []
        lines += [f"| config | `{facts['config']}` |", f"| class | `{facts['target']}` |", "", "## Options", ""]
        lines += ["| option | type | default | |", "|---|---|---|---|"]
        for option, (default, kind, meaning) in facts["options"].items():
            lines.append(f"| `{option}` | `{_cell(kind)}` | `{_cell(default)}` | {_cell(meaning)} |")
        yield f"reference/plugins/{facts['kind']}-{facts['name']}.md", "\n".join(lines) + "\n"


def _plugin_index() -> tuple[str, str]:
    lines = [
        "# Plugins",
        "",
        "The built-in plugins. `affectgpt plugins` also lists those of other installed packages.",
        "",
    ]
    lines += ["| kind | name | what it does |", "|---|---|---|"]
    for facts in _plugins():
        link = f"[`{facts['name']}`]({facts['kind']}-{facts['name']}.md)"
        lines.append(f"| {facts['kind']} | {link} | {_cell(facts['summary'])} |")
    return "reference/plugins/index.md", "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
