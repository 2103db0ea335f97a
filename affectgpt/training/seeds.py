"""Numbers that stand for what is drawn: the same parts give the same seed, wherever and whenever it is asked for."""

from __future__ import annotations

import hashlib


def seed_of(*parts: int | str) -> int:
    """A seed of 32 bits from the config's seed, what is drawn, and where in the run: `seed_of(3, "order", epoch)`."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
