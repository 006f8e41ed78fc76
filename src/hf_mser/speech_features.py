"""What encoders read of a clip: log-mel features for Whisper, normalised samples for wav2vec 2.0 and its relatives.

Either way a clip's features do not depend on the clips that it is batched with.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .configuration_mser import SpeechLengthError

LOG_SILENCE = -10.0
"""Whisper's floor of the log-mel power, which is all that digital silence has."""


def reads_waveforms(extractor: Any) -> bool:
    """Whether a feature extractor leaves samples as they are, but for their level.

    Example:
        >>> from transformers import Wav2Vec2FeatureExtractor
        >>> reads_waveforms(Wav2Vec2FeatureExtractor())
        True
    """
    return not hasattr(extractor, "mel_filters")


def mel_features(
    extractor: Any, clips: Sequence[np.ndarray], pad_to_30s: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whisper's log-mel features (batch, mels, time) of mono 16 kHz clips, and the mask of their true lengths."""
    longest = max(len(clip) for clip in clips)
    if longest > extractor.n_samples:
        raise SpeechLengthError(
            f"A clip of {longest / extractor.sampling_rate:.1f} s is longer than the {extractor.chunk_length} s that "
            "the encoder reads at once. Use the pipeline, which cuts long audio into windows, or iter_windows."
        )
    hop = extractor.hop_length
    lengths = torch.tensor([-(-len(clip) // hop) for clip in clips])
    frames = int(lengths.max())
    if not pad_to_30s:
        log_mel, loudest = _log_mel(extractor, clips, frames, lengths)
        real = torch.arange(frames) < lengths[:, None]
        return _as_whisper(log_mel, loudest) * real[:, None], real.long()
    whole = extractor.nb_max_frames
    real = (torch.arange(whole) < lengths[:, None]).long()
    overlapping = -(-extractor.n_fft // (2 * hop))  # frames behind the end that still hear the clip
    if frames + overlapping > whole:  # Whisper mirrors what stands at the very end of the 30 s
        padded = extractor(list(clips), sampling_rate=extractor.sampling_rate, return_tensors="pt")
        return padded["input_features"], real
    log_mel, loudest = _log_mel(extractor, clips, frames + overlapping)
    silence = _as_whisper(torch.full_like(loudest, LOG_SILENCE), loudest).expand(-1, log_mel.shape[1], whole)
    return torch.cat([_as_whisper(log_mel, loudest), silence[..., log_mel.shape[2] :]], dim=2), real


def _log_mel(
    extractor: Any, clips: Sequence[np.ndarray], frames: int, lengths: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decadic log-mel power of the first frames, and the loudest value of each clip (within its `lengths`)."""
    hop, size = extractor.hop_length, extractor.n_fft
    # Zeros behind the longest clip too, so that a clip's last frames look the same in any batch.
    samples = torch.zeros(len(clips), (frames - 1) * hop + size)
    for row, clip in enumerate(clips):
        samples[row, : len(clip)] = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32))
    reflected = samples[:, 1 : size // 2 + 1].flip(-1)  # Whisper mirrors the beginning
    spectrum = torch.stft(
        torch.cat([reflected, samples], dim=1),
        size,
        hop,
        window=torch.hann_window(size),
        center=False,
        return_complex=True,
    )[..., :frames]
    power = spectrum.real.square() + spectrum.imag.square()
    mel = torch.from_numpy(extractor.mel_filters).to(power.dtype).T @ power
    log_mel = mel.clamp_(min=10**LOG_SILENCE).log10_()
    counted = log_mel
    if lengths is not None:
        counted = log_mel.masked_fill((torch.arange(frames) >= lengths[:, None])[:, None], LOG_SILENCE)
    return log_mel, counted.amax((1, 2), keepdim=True)


def _as_whisper(log_mel: torch.Tensor, loudest: torch.Tensor) -> torch.Tensor:
    """Whisper's range: 80 dB below the loudest and no less, then about -1 to 1."""
    return (torch.maximum(log_mel, loudest - 8.0) + 4.0) / 4.0


def waveforms(extractor: Any, clips: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples (batch, time), each clip at mean 0 and deviation 1 where the extractor wants it, and their mask."""
    lengths = torch.tensor([len(clip) for clip in clips])
    samples = torch.zeros(len(clips), int(lengths.max()))
    for row, clip in enumerate(clips):
        own = torch.from_numpy(np.ascontiguousarray(clip, dtype=np.float32))
        if getattr(extractor, "do_normalize", False):
            own = (own - own.mean()) / (own.var(correction=0) + 1e-7).sqrt()
        samples[row, : len(clip)] = own
    return samples, (torch.arange(samples.shape[1]) < lengths[:, None]).long()
