"""A clip of which an encoder sees what it declares: what a feature cache keeps depends on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from affectgpt.registry.errors import PluginError

if TYPE_CHECKING:
    from affectgpt.core.tokens import Prepared
    from affectgpt.media.clip import Clip

_OTHER_READS = {"subtitle": "subtitle", "path": "path", "extra": "file"}
_WORDS = {
    "media": "the pictures or the sound",
    "subtitle": "the subtitle",
    "path": "the path of the clip",
    "file": "a further file of the clip",
}


class DeclaredClip:
    """An open clip as the encoder `encoder` may read it: `reads` are those of its config.

    Everything of a [Clip][affectgpt.media.clip.Clip] can be asked for; raises PluginError for what is not declared. The
    path and further files cannot be declared, for what is read from there leaves no trace in a cache.
    """

    def __init__(self, clip: Any, encoder: str, reads: Sequence[str]) -> None:
        self._clip, self._encoder, self._reads = clip, encoder, tuple(reads)

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling ask before there is a clip.
        if name.startswith("_"):
            raise AttributeError(name)
        source = _OTHER_READS.get(name, "media")
        if source not in self._reads:
            raise self._undeclared(source)
        return getattr(self._clip, name)

    def present(self, **rules: Any) -> DeclaredClip:
        """As [Clip.present][affectgpt.media.clip.Clip.present], of which no more can be read."""
        return DeclaredClip(self._clip.present(**rules), self._encoder, self._reads)

    def __repr__(self) -> str:
        return repr(self._clip)

    def _undeclared(self, source: str) -> PluginError:
        declarable = source in ("media", "subtitle")
        reads = ", ".join(f'"{name}"' for name in ("media", "subtitle") if name in {*self._reads, source})
        return PluginError(
            f"encoder {self._encoder!r} reads {_WORDS[source]}, which it does not declare"
            if declarable
            else f"encoder {self._encoder!r} reads {_WORDS[source]}, which a feature cache cannot follow",
            found=f"reads = {self._reads!r}",
            hint=f"reads = ({reads})"
            if declarable
            else "read the clip by its frames, faces, waveform and subtitle, or train without a cache",
        )


class DeclaredReader:
    """An encoder of which `prepare` reads a [DeclaredClip][]."""

    def __init__(self, encoder: Any, name: str, reads: Sequence[str]) -> None:
        self._encoder, self._name, self._reads = encoder, name, tuple(reads)

    def prepare(self, clip: Clip) -> Prepared | None:
        """As `prepare` of the encoder. Raises PluginError for what its config does not declare."""
        prepared: Prepared | None = self._encoder.prepare(DeclaredClip(clip, self._name, self._reads))
        return prepared
