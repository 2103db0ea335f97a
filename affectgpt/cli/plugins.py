"""`affectgpt plugins`: what can be used, where it comes from, and what is broken."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from affectgpt import api
from affectgpt.cli.options import Json, Plugin, catalog_of, console, plugin_options
from affectgpt.cli.printable import json_text
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.entry import PluginEntry

app = typer.Typer(invoke_without_command=True, help="List plugins, or show one.")


@app.callback()
def listing(
    context: typer.Context,
    plugins: Plugin = [],
    as_json: Json = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also load packages whose declaration imports torch.")
    ] = False,
) -> None:
    """List the plugins that can be used."""
    catalog = catalog_of(context, plugins)
    if context.invoked_subcommand is not None:
        return
    if everything:
        catalog.load_deferred()
    if as_json:
        typer.echo(json_text(_listed(catalog), indent=1))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("kind", "name", "what it does", "from"):
        table.add_column(column, no_wrap=column in ("kind", "name"))
    for kind in catalog.kinds:
        for name in catalog.names(kind):
            entry = catalog.entries[(kind, name)]
            table.add_row(kind, name, entry.spec.summary, str(entry.origin))
    out = console()
    out.print(table)
    for origin in catalog.deferred:
        out.print(f"not listed: {origin} imports torch to declare its plugins; --all loads it", markup=False)
    for broken in catalog.broken:
        out.print(f"broken: {broken.name} from {broken.origin}: {broken.cause}", markup=False, style="red")


@app.command("show")
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A plugin's name.")],
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Show one plugin: its interface, its options with their defaults, where it comes from."""
    catalog = catalog_of(context, plugins)
    entries = api.find_plugins(name, catalog)
    if as_json:
        typer.echo(json_text([_shown(catalog, entry) for entry in entries], indent=1))
        return
    out = console()
    for entry in entries:
        facts = _shown(catalog, entry)
        out.print(f"[bold]{entry.spec.kind} {entry.spec.name}[/bold]: {entry.spec.summary}")
        for label in ("interface", "from", "config", "target", "citation", "requires"):
            if facts[label]:
                out.print(f"  {label:10} {facts[label]}", markup=False)
        out.print("  options")
        for option, (default, kind, meaning) in facts["options"].items():
            out.print(f"    {option}: {kind} = {default}   {meaning}".rstrip(), markup=False)


@app.command("verify")
def verify(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A plugin's name.")],
    plugins: Plugin = [],
    as_json: Json = False,
    changes: Annotated[
        list[str], typer.Option("--set", help="Give the plugin an option, e.g. dim=64. May be repeated.")
    ] = [],
    slow: Annotated[bool, typer.Option("--slow", help="Also what takes seconds: torch.compile.")] = False,
) -> None:
    """Check that a plugin keeps what all plugins of its kind keep. Exits 1 when it breaks a promise."""
    catalog, options = catalog_of(context, plugins), plugin_options(changes)
    spec = api.find_plugin(name, None, catalog).spec
    results, out = [], console()
    for result in api.verify_each(name, kind=spec.kind, options=options, slow=slow, plugins=catalog):
        results.append(result)
        if not as_json:
            state = "FAILED" if result.failure else "ok"
            out.print(f"{state:6}  {result.check:25} {result.promise}", markup=False, soft_wrap=True)
            if result.failure:
                out.print(f"        {result.failure}", markup=False, style="red", soft_wrap=True)
    failed = [result for result in results if result.failure]
    if as_json:
        typer.echo(json_text([vars(result) for result in results], indent=1))
    else:
        text = f"{spec.kind} {name}: {len(results) - len(failed)} of {len(results)} checks passed"
        out.print(text + ("" if slow or spec.kind != "fuser" else "; --slow also compiles it"), markup=False)
    if failed:
        raise typer.Exit(1)


def _listed(catalog: Catalog) -> dict[str, Any]:
    return {
        "plugins": [
            {**entry.spec.model_dump(mode="json"), "from": entry.origin.source, "version": entry.origin.version}
            for entry in catalog.entries.values()
        ],
        "deferred": list(catalog.deferred),
        "broken": [{"name": each.name, "from": str(each.origin), "cause": each.cause} for each in catalog.broken],
    }


def _shown(catalog: Catalog, entry: PluginEntry) -> dict[str, Any]:
    model = catalog.config_class(entry)
    options = {}
    properties = model.model_json_schema().get("properties", {})
    for option, field in model.model_fields.items():
        value = "" if field.is_required() else field.get_default(call_default_factory=True)
        default = "(required)" if field.is_required() else json.dumps(value, default=str)
        kind = str(getattr(field.annotation, "__name__", field.annotation)).replace("typing.", "")
        if "enum" in properties.get(option, {}):
            kind = " | ".join(map(str, properties[option]["enum"]))
        options[option] = (default, kind, field.description or "")
    interface = catalog.interface(entry)
    spec = entry.spec
    return {
        "kind": spec.kind,
        "name": spec.name,
        "summary": spec.summary,
        "interface": interface,
        "from": str(entry.origin),
        "config": spec.config,
        "target": spec.target,
        "citation": spec.citation,
        "requires": " ".join(spec.requires),
        "options": options,
    }
