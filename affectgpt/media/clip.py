"""[Clip][]: one media file, read as far as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affectgpt.media.face_array import ChannelOrder, FaceArray
from affectgpt.media.faces import FaceDetector, HaarFaceDetector, face_crops
from affectgpt.media.limits import Limits
from affectgpt.media.presence import FACE_SHARE, FaceRule, Presence, VoiceRule
from affectgpt.media.sampling import Resampling, Spread
from affectgpt.media.sidecar import find_sidecar
from affectgpt.media.subtitles import read_subtitle
from affectgpt.registry.errors import MediaError

if TYPE_CHECKING:
    from affectgpt.media.container import Header

SAMPLE_RATE = 16000
"""Samples per second of every waveform."""

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Pictures:
    """Frames or face crops in the order of time: at least one.

    - `images`: uint8 RGB arrays `[H, W, 3]`; their sizes may differ.
    - `times [N]`: float32, strictly increasing: when each frame is first shown, seconds from the clip's start.
    """

    images: list[np.ndarray]
    times: np.ndarray


class Clip:
    """A media file: video, audio or a still picture, in any format that libav knows.

    - `path`: the file.
    - `duration`: seconds from the first stamp on, as the header states; measured from the packets when the header
      states none, or the last stamp only, or the file was cut off. 0 or one frame's length for a still picture. A
      separate sound does not change it.
    - `has_video`, `has_audio`: what there is. Cover art is no video. A still picture is a video of one frame.
    - `subtitle`: what was said, "" when unknown.
    - `notes`: what a reader should know of this file (no sound, damage, no face found). It grows as the clip is read.

    [Clip.open][] reads the header only. Frames, faces and waveform are decoded when they are first asked for and kept:
    asking again costs nothing. The arrays are shared with the next caller, so copy one before changing it. A clip can
    be sent to another process if its detector can.

    All methods raise MediaError when the file turns out to be unreadable or above its limits, and nothing else.
    """

    _presence = Presence()

    def __init__(
        self,
        path: Path,
        header: Header,
        subtitle: str,
        limits: Limits,
        detector: FaceDetector,
        sound: tuple[Path, Header] | None = None,
        stored_faces: FaceArray | None = None,
    ) -> None:
        """Use [Clip.open][]."""
        self.path = path
        self.duration = header.duration
        self.has_video = header.video is not None
        self.has_audio = sound is not None or header.audio is not None
        self.subtitle = subtitle
        self.notes: list[str] = [note for note in header.notes if sound is None or note != "no sound"]
        self._header = header
        self._sound = sound or (path, header)
        self._stored_faces = stored_faces
        self._limits = limits
        self._detector = detector
        self._extra: dict[str, Path] = {}
        self._frames: dict[tuple[int, Spread], Pictures] = {}
        self._faces: dict[tuple[int, Spread], tuple[Pictures, int, list[str]] | None] = {}
        self._stored: dict[tuple[int, Spread], Pictures] = {}
        self._waveforms: dict[Resampling, np.ndarray | None] = {}
        self._voices: dict[tuple[object, ...], bool] = {}

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        subtitle: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        detector: FaceDetector | None = None,
        sound: str | Path | None = None,
        faces: str | Path | None = None,
        face_order: ChannelOrder = "bgr",
    ) -> Clip:
        """Read the header of `path`.

        `subtitle` is the clip's text; None looks for a file beside `clip.mp4` (see [find_sidecar][]), and "" asks for
        no text. `detector` finds the faces (default [HaarFaceDetector][]).

        `sound` is a file whose sound is heard instead of that of `path`, from the clip's start on. `faces` is a `.npy`
        file of face pictures `[T, H, W, 3]` uint8, evenly spread over the clip, that are taken instead of looking for
        faces; `face_order` is the order of the channels stored there (OpenCV writes BGR).

        Raises MediaError when a file is missing, empty, unreadable, no media, holds neither picture nor sound, or is
        above `limits`, when `sound` holds no sound or `faces` no such array, and when the subtitle file beside `path`
        cannot be read.
        """
        from affectgpt.media.container import read_header

        media_file = Path(path)
        header = read_header(media_file, limits)
        text_file, text_notes = find_sidecar(media_file) if subtitle is None else (None, [])
        text = subtitle or ""
        if text_file is not None:
            text, lost = read_subtitle(text_file)
            text_notes = [f"subtitle read from {text_file.name}", *lost, *text_notes]
        separate_sound = None if sound is None else (Path(sound), _sound_header(Path(sound), limits))
        stored_faces = None if faces is None else FaceArray.open(Path(faces), face_order, limits)
        clip = cls(media_file, header, text, limits, detector or HaarFaceDetector(), separate_sound, stored_faces)
        for note in text_notes:
            clip._note(note)
        return clip

    @staticmethod
    def from_arrays(
        *,
        frames: np.ndarray | None = None,
        frame_rate: float = 25.0,
        faces: np.ndarray | None = None,
        waveform: np.ndarray | None = None,
        sample_rate: int = SAMPLE_RATE,
        subtitle: str = "",
        extra: Mapping[str, str | Path] | None = None,
    ) -> Clip:
        """A clip of arrays that are in memory; its `path` is `<arrays>`.

        `frames` and `faces` are uint8 `[T, H, W, 3]` RGB, `frame_rate` of them a second; without `faces`, faces are
        looked for in the frames. `waveform` is float32 `[S]`, mono, in [-1, 1], `sample_rate` samples a second; it is
        resampled to 16 kHz. `extra` names further files for encoders that read them: see [Clip.extra][].

        Raises ConfigError for a wrong shape, dtype or range, and without frames, faces and a waveform.
        """
        from affectgpt.media.array_clip import ArrayClip

        return ArrayClip(frames, frame_rate, faces, waveform, sample_rate, subtitle, extra or {})

    def extra(self, name: str) -> Path | None:
        """The further file `name` of the clip, for an encoder that reads it; None when the clip has none."""
        return self._extra.get(name)

    def frames(self, count: int, spread: Spread = "middles") -> Pictures | None:
        """`count` frames evenly spaced over the picture's length, or None when the clip has no picture.

        Frame i of n is the one on screen at `start + (i + 0.5) * length / n`: the last whose time is not later. Start
        and length are those of the frames themselves (the sound may be longer); times are the frames' own stamps, so a
        variable frame rate is honoured. No frame is repeated: a clip with fewer frames, or one that shows a single
        frame at several of these times, gives fewer than `count`. Rotation, mirroring and the shape of pixels stated in
        the file are applied: pixels are square. Of interlaced frames the first field is shown, and HDR is brought to
        the light of ordinary pictures (203 nits are nearly white), both with a note. Frames that cannot be decoded are
        left out before choosing, with a note.

        With `spread: released`, as the released AffectGPT chooses: frame i of n is number `i * T / n` of the clip's T
        frames, rounded down.

        Raises MediaError when not one frame can be decoded, ValueError when `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, found {count}")
        if not self.has_video:
            return None
        if (count, spread) not in self._frames:
            from affectgpt.media.picture import sample_frames

            sampled = sample_frames(self.path, self._header, self._limits, count, spread)
            self._frames[count, spread] = Pictures(sampled.images, np.asarray(sampled.times, dtype=np.float32))
            for note in sampled.notes:
                self._note(note)
        return self._frames[count, spread]

    def faces(self, count: int, spread: Spread = "middles") -> Pictures | None:
        """A square around the largest face of each of `frames(count, spread)`, at their times; None without a picture.

        A frame without a face gets the place of the nearest frame that has one. When no frame has one, the frames come
        back whole (not square); where [Clip.present][] asks for a face there are none then, nor when less than a
        quarter of the frames have one. A note says so. Raises as [Clip.frames][].

        With an array of faces, its pictures instead, chosen as frames are: picture k of T is first shown at
        `k * duration / T`. They need no picture in the clip and come as they are, not cut square.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, found {count}")
        if self._has_stored_faces():
            return self._read_stored_faces(count, spread)
        frames = self.frames(count, spread)
        if frames is None:
            return None
        if (count, spread) not in self._faces:
            crops, shown, notes = face_crops(frames.images, frames.times.tolist(), self._detector)
            self._faces[count, spread] = (Pictures(crops, frames.times), shown, notes) if shown else None
        faces = self._faces[count, spread]
        looked_at = f"{len(frames.images)} frame{'' if len(frames.images) == 1 else 's'}"
        is_asked_for = self._presence.face == "found"
        if faces is not None and is_asked_for and faces[1] < FACE_SHARE * len(frames.images):
            self._note(f"a face was found in {faces[1]} of {looked_at} only: the face is absent")
            return None
        if faces is not None:
            for note in faces[2]:
                self._note(note)
            return faces[0]
        if is_asked_for:
            self._note(f"no face was found in {looked_at}: the face is absent")
            return None
        self._note(f"no face found in {looked_at}: the whole frame was used")
        return frames

    def _has_stored_faces(self) -> bool:
        return self._stored_faces is not None

    def _read_stored_faces(self, count: int, spread: Spread) -> Pictures | None:
        if (count, spread) not in self._stored:
            assert self._stored_faces is not None
            images, times = self._stored_faces.pictures(count, self.duration, spread)
            self._stored[count, spread] = Pictures(images, np.asarray(times, dtype=np.float32))
        return self._stored[count, spread]

    def waveform(self, resampling: Resampling = "libav") -> np.ndarray | None:
        """The sound, float32 `[S]`, mono, 16 kHz, in [-1, 1]; None when there is none or none can be decoded.

        Resampled first, then two channels are averaged. More than two are added with the weights of ITU-R BS.775-3
        (centre 1, front 0.71, surround 0.5, LFE 0), then the whole is made as quiet as the loudest of them at its peak
        if it is louder; a file that does not say which channel is which gives a note. So do channels that cancel.

        Sample 0 is the clip's start, and every sample is where its stamp says: a sound that begins later than the
        picture is preceded by silence (a note from 0.5 s on), and gaps above 0.05 s are silent. Where stamps go back,
        what was heard already is left out; by more than 1 s, the sound goes on instead, for the clock is then a new
        one. Stamps that neither the next one nor the clip's length confirms do not count. All with a note. Damaged
        packets are skipped with a note. Samples that are not finite become 0, samples beyond full scale are cut; both
        with a note.

        `resampling: sinc` takes torchaudio's windowed sinc (of its default width) instead of libav's filter.

        Where [Clip.present][] asks for a voice, a sound without speech is None, with a note.
        """
        if not self.has_audio:
            return None
        samples = self._resampled(resampling)
        if samples is None or self._presence.voice == "always" or self._is_spoken():
            return samples
        self._note("no speech: the voice is absent")
        return None

    def _read_waveform(self, resampling: Resampling) -> np.ndarray | None:
        from affectgpt.media.sound import read_waveform

        samples, notes = read_waveform(*self._sound, self._limits, SAMPLE_RATE, resampling)
        for note in notes:
            self._note(note)
        return samples

    def _resampled(self, resampling: Resampling) -> np.ndarray | None:
        if resampling not in self._waveforms:
            self._waveforms[resampling] = self._read_waveform(resampling)
        return self._waveforms[resampling]

    def _is_spoken(self) -> bool:
        # Of one waveform, whichever is asked for: a clip has a voice or has none.
        key = (self._presence.voice, self._presence.threshold)
        if key not in self._voices:
            from affectgpt.media.presence import is_spoken

            samples = self._resampled("libav")
            self._voices[key] = samples is not None and is_spoken(samples, self._presence)
        return self._voices[key]

    def present(self, *, face: FaceRule = "found", voice: VoiceRule = "cues", threshold: float = 0.5) -> Clip:
        """The same clip whose `faces` and `waveform` are None where there is no face and no speech.

        `face: found` asks for a face in the frames that are read (an array of faces counts as one), `voice` for speech
        in the sound (of more than 2 minutes in 20 pieces of 6 s): by its rhythm and melody (`cues`) or by a net
        (`net`), whose probability of speech must reach `threshold`. `always` asks for nothing. What was read and
        decided is shared.
        """
        clip = copy(self)
        clip._presence = Presence(face, voice, threshold)
        return clip

    def is_empty(self) -> bool:
        """True when neither a picture nor a face nor a sound can be decoded, whatever [Clip.present][] asks for."""
        if self.has_video or self._has_stored_faces():
            return False
        return self.present(face="always", voice="always").waveform() is None

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def __repr__(self) -> str:
        return f"Clip({str(self.path)!r}, {self.duration:.2f} s)"


def _sound_header(path: Path, limits: Limits) -> Header:
    from affectgpt.media.container import read_header

    header = read_header(path, limits)
    if header.audio is None:
        raise MediaError(
            "the sound file holds no sound",
            where=str(path),
            found="; ".join(header.notes) or "a picture",
            expected="a sound or video file with sound",
            hint="check that this is the right file",
        )
    return header
