"""`affectgpt plugins`: what can be used, where it comes from, and what is broken."""

from __future__ import annotations

from typing import Annotated

import typer

from affectgpt import api
from affectgpt.cli.options import Json, Plugin, catalog_of, console
from affectgpt.cli.printable import aligned, json_text, one_line
from affectgpt.cli.standard_streams import echo

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
        echo(json_text(api.catalog_facts(catalog), indent=1))
        return
    rows = [("kind", "name", "from", "what it does")]
    for kind in catalog.kinds:
        for name in catalog.names(kind):
            entry = catalog.entries[(kind, name)]
            rows.append((kind, name, str(entry.origin), entry.spec.summary))
    # Without Rich, whose import takes as long as finding the plugins.
    echo(aligned(rows))
    for origin in catalog.deferred:
        echo(one_line(f"not listed: {origin} imports torch to declare its plugins; --all loads it"))
    for broken in catalog.broken:
        cause = " ".join(broken.cause.split())
        echo(one_line(f"broken: {broken.name} from {broken.origin}: {cause}"))


@app.command("show")
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A plugin's name.")],
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Show one plugin: its interface, its options with their defaults, where it comes from."""
    rows = api.plugin_facts(name, catalog_of(context, plugins))
    if as_json:
        echo(json_text(rows, indent=1))
        return
    out = console()
    for facts in rows:
        out.print(f"[bold]{facts['kind']} {facts['name']}[/bold]: {facts['summary']}")
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
    catalog, options = catalog_of(context, plugins), api.parse_options(changes)
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
        echo(json_text([vars(result) for result in results], indent=1))
    else:
        text = f"{spec.kind} {name}: {len(results) - len(failed)} of {len(results)} checks passed"
        out.print(text + ("" if slow or spec.kind != "fuser" else "; --slow also compiles it"), markup=False)
    if failed:
        raise typer.Exit(1)
