"""A catalog as a line of text, and as a table of HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affectgpt.registry.catalog import Catalog


def catalog_text(catalog: Catalog) -> str:
    """How many plugins of each kind there are, and how many are broken."""
    counts = ", ".join(f"{len(catalog.names(kind))} {kind}" for kind in catalog.kinds)
    return f"Catalog({counts}{f'; {len(catalog.broken)} broken' if catalog.broken else ''})"


def catalog_html(catalog: Catalog) -> str:
    """A table with kind, name, summary and origin of each plugin, and a list of what is broken."""
    rows = [_row("th", ("kind", "name", "summary", "from"))]
    for kind in catalog.kinds:
        for name in catalog.names(kind):
            entry = catalog.entries[kind, name]
            rows.append(_row("td", (kind, name, entry.spec.summary, str(entry.origin))))
    broken = "".join(f"<li>{escape(f'{each.name} from {each.origin}: {each.cause}')}</li>" for each in catalog.broken)
    return f"<table>{''.join(rows)}</table><ul>{broken}</ul>"


def _row(tag: str, cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
