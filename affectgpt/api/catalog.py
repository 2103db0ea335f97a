"""The plugins that can be used: find them, list them, check them, start a package for a new one."""

from __future__ import annotations

from affectgpt.registry.discovery import discover as discover
