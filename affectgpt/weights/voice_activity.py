"""The net of Silero VAD 6.2 in plain torch: the probability of speech in each 32 ms of a sound."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from affectgpt.registry.errors import CheckpointError
from affectgpt.weights.table import fetched_file

CHUNK, CONTEXT = 512, 64
LEAST_SECONDS = 0.25
"""Speech that is shorter is not counted, as in the package."""


class VoiceActivity(nn.Module):
    """Waveform `[S]` at 16 kHz -> probability of speech `[ceil(S / 512)]`, float32.

    A magnitude spectrogram by convolution (window 256, step 128), four convolutions, one LSTM cell whose state goes
    through the whole sound. Each chunk is read with the 64 samples before it and 64 reflected ones behind it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, 128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, 1, 1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, 1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, 1)
        self.conv4 = nn.Conv1d(64, 128, 3, 1, 1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, waveform: Tensor) -> Tensor:
        padded = functional.pad(waveform.float(), (CONTEXT, -len(waveform) % CHUNK))
        chunks = padded.unfold(0, CHUNK + CONTEXT, CHUNK)
        spectrum = self.stft_conv(functional.pad(chunks, (0, 64), mode="reflect")[:, None])
        features = (spectrum[:, :129].square() + spectrum[:, 129:].square()).sqrt()
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            features = functional.relu(layer(features))
        state: tuple[Tensor, Tensor] | None = None
        hidden = []
        for step in features[:, :, 0].split(1):
            state = self.lstm_cell(step, state)
            hidden.append(state[0])
        outputs = functional.relu(torch.cat(hidden))
        return torch.sigmoid(self.final_conv(outputs[:, :, None]))[:, 0, 0]


def tensors_of_package(path: Path) -> dict[str, Tensor]:
    """The tensors of [VoiceActivity][] out of the package's `silero_vad.jit`: its half for 16 kHz. No code of it runs.

    The package's `silero_vad_16k.safetensors` has the same shapes and other values, which its own functions do not use.
    """
    stored = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    names = {"stft_conv.weight": "stft.forward_basis_buffer"}
    for leaf in ("weight", "bias"):
        names |= {f"conv{index + 1}.{leaf}": f"encoder.{index}.reparam_conv.{leaf}" for index in range(4)}
        names |= {f"lstm_cell.{leaf}_{side}": f"decoder.rnn.{leaf}_{side}" for side in ("ih", "hh")}
        names[f"final_conv.{leaf}"] = f"decoder.decoder.2.{leaf}"
    return {name: stored[f"_model.{source}"].float().contiguous().clone() for name, source in names.items()}


@lru_cache(maxsize=1)
def _net(path: Path) -> VoiceActivity:
    net = VoiceActivity()
    try:
        net.load_state_dict(load_file(path), strict=True)
    except Exception as error:
        raise CheckpointError(
            "the weights cannot be read",
            where=str(path),
            found=str(error).splitlines()[0][:200],
            hint="remove the file, and run `affectgpt weights get voice`",
        ) from None
    return net.eval().requires_grad_(False)


@torch.no_grad()
def is_speech(waveform: np.ndarray, threshold: float) -> bool:
    """True when a sound float32 `[S]` at 16 kHz has speech of more than 0.25 s, as the package finds its spans.

    A span begins where the probability reaches `threshold` and ends after 0.1 s below `threshold` - 0.15. Raises
    CheckpointError when the weights were not fetched or cannot be read.
    """
    net = _net(fetched_file("voice"))
    if not len(waveform):
        return False
    step, off = CHUNK / 16000, max(threshold - 0.15, 0.01)
    begin: float | None = None
    quiet: float | None = None
    chances = net(torch.from_numpy(np.array(waveform, np.float32))).tolist()
    for index, chance in enumerate(chances):
        if chance >= threshold:
            begin, quiet = (index * step if begin is None else begin), None
        elif chance < off and begin is not None:
            quiet = index * step if quiet is None else quiet
            if index * step - quiet >= 0.1:
                if quiet - begin > LEAST_SECONDS:
                    return True
                begin = quiet = None
    return begin is not None and (quiet or len(waveform) / 16000) - begin > LEAST_SECONDS
