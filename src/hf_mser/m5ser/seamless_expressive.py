"""SeamlessExpressive: the paper's translator (Prosody UnitY2 + PRETSSEL), through `seamless_communication`.

Neither package nor weights come with hf_mser: the package is installed from its repository, and the weights are given
on request, under a licence of their own that its outputs carry on. `preflight` says what is missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..audio import load_audio
from .seamless_m4t import CODES
from .translate import BatchTranslator, PreflightError, SourceClip, Translation

WEIGHTS = ("m2m_expressive_unity.pt", "pretssel_melhifigan_wm-final.pt")
"""What the gated download holds; the second may be the 16 kHz vocoder's."""
_VOCODERS = {
    "pretssel_melhifigan_wm-final.pt": "vocoder_pretssel",
    "pretssel_melhifigan_wm-16khz.pt": "vocoder_pretssel_16khz",
}
_MODEL = "seamless_expressivity"
_GIGABYTES = 10.0
"""Memory that model and vocoder take in half precision with a batch of short clips; twice as much on a CPU."""
_PACKAGES = ("seamless_communication", "fairseq2")
_REQUEST = "https://ai.meta.com/resources/models-and-libraries/seamless-downloads/"
_SOURCE = "https://github.com/facebookresearch/seamless_communication"


class SeamlessExpressive(BatchTranslator):
    """Expressive speech-to-speech translation with the gated weights in the folder `model`.

    Example:
        >>> SeamlessExpressive("nowhere").preflight(["fr"])  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        PreflightError: SeamlessExpressive cannot work here: ...
    """

    name = "seamless-expressive"
    terms = "outputs of SeamlessExpressive under the Seamless Licensing Agreement: research, non-commercial"

    def __init__(self, model: str | None = None, device: str = "cpu", batch_size: int = 8) -> None:
        self.folder = Path(model).expanduser() if model else None
        self.device, self.batch_size = device, batch_size

    @property
    def version(self) -> str:
        """The weights, by their sizes."""
        files = sorted(self.folder.glob("*.pt")) if self.folder and self.folder.is_dir() else []
        return "1; " + ", ".join(f"{path.name} {path.stat().st_size}" for path in files)

    def preflight(self, languages: Sequence[str], device: str | None = None) -> None:
        """Check package, weights, licence and memory; everything that is missing is listed with its cure."""
        missing = [*self._missing_packages(), *self._missing_weights(), *self._missing_memory(device or self.device)]
        strangers = [language for language in languages if language not in CODES]
        if strangers:
            missing.append(f"languages: it speaks {', '.join(CODES)}, not {', '.join(strangers)}")
        if missing:
            raise PreflightError("SeamlessExpressive cannot work here:\n  - " + "\n  - ".join(missing))

    def _missing_packages(self) -> list[str]:
        return [
            f"package: {name} is not installed. In an environment of its own (it pins an older PyTorch): "
            f"pip install fairseq2 git+{_SOURCE}"
            for name in _PACKAGES
            if importlib.util.find_spec(name) is None
        ]

    def _missing_weights(self) -> list[str]:
        if self.folder is None or not self.folder.is_dir():
            where = f"{self.folder} is not a folder" if self.folder else "no folder was given"
            return [f"weights: {where}. Accept the licence at {_REQUEST}, download, and give --model DIR"]
        present = {path.name for path in self.folder.iterdir()}
        found = []
        if WEIGHTS[0] not in present:
            found.append(f"weights: {self.folder} lacks {WEIGHTS[0]}. Get it at {_REQUEST}")
        if not present & set(_VOCODERS):
            found.append(f"weights: {self.folder} lacks a vocoder ({' or '.join(_VOCODERS)}). Get it at {_REQUEST}")
        if not any("license" in name.lower() or "licence" in name.lower() for name in present):
            found.append(
                f"licence: {self.folder} holds no licence file. The outputs carry the Seamless licence on: read it, "
                "and put it there as LICENSE to say that you accept it"
            )
        return found

    def _missing_memory(self, device: str) -> list[str]:
        import torch

        free: float | None
        if device.startswith("cuda"):
            if not torch.cuda.is_available():
                return [f"device: {device} was asked for, but PyTorch sees no GPU"]
            free, needed = torch.cuda.mem_get_info(device)[0] / 1e9, _GIGABYTES
        else:
            free, needed = _free_memory(), 2 * _GIGABYTES
        short = free is not None and free < needed
        return [f"memory: {free:.1f} GB are free on {device}, about {needed:.0f} GB are needed"] if short else []

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any, Any, Any]:
        import torch
        from fairseq2.data.audio import WaveformToFbankConverter
        from seamless_communication.inference import Translator as Unity
        from seamless_communication.inference.pretssel_generator import PretsselGenerator
        from seamless_communication.models.unity import load_gcmvn_stats, load_unity_unit_tokenizer
        from seamless_communication.store import add_gated_assets

        folder = self.folder or Path()  # preflight refuses a translator without one
        add_gated_assets(folder)
        device = torch.device(self.device)
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        vocoder = next(name for file, name in _VOCODERS.items() if (folder / file).is_file())
        unity = Unity(_MODEL, vocoder_name_or_card=None, device=device, dtype=dtype)
        units = load_unity_unit_tokenizer(_MODEL)
        pretssel = PretsselGenerator(vocoder, vocab_info=units.vocab_info, device=device, dtype=dtype)
        mels = WaveformToFbankConverter(
            num_mel_bins=80, waveform_scale=2**15, channel_last=True, standardize=False, device=device, dtype=dtype
        )
        mean, deviation = (torch.tensor(part, device=device, dtype=dtype) for part in load_gcmvn_stats(vocoder))
        return unity, pretssel, mels, mean, deviation

    def generate(self, clips: Sequence[SourceClip], language: str) -> list[Translation]:
        """The translations of a batch, all or none."""
        import torch
        from fairseq2.data import Collater

        unity, pretssel, mels, mean, deviation = self._parts
        plain, for_prosody = [], []
        for clip in clips:
            wave = torch.from_numpy(clip.samples).to(mean.device)[:, None]
            frames = mels({"waveform": wave, "sample_rate": 16_000})["fbank"]
            spread, middle = torch.std_mean(frames, dim=0)
            plain.append(frames.subtract(middle).divide(spread))
            for_prosody.append(frames.subtract(mean).divide(deviation))
        collate = Collater(pad_value=0, pad_to_multiple=1)
        prosody = collate(for_prosody)
        texts, units = unity.predict(
            collate(plain),
            "s2st",
            CODES[language],
            src_lang=CODES.get(clips[0].language, "eng"),
            prosody_encoder_input=prosody,
        )
        made = pretssel.predict(units.units, tgt_lang=CODES[language], prosody_encoder_input=prosody)
        return [
            Translation(load_audio(wave[0].float().cpu().numpy(), sampling_rate=made.sample_rate), str(text))
            for wave, text in zip(made.audio_wavs, texts, strict=True)
        ]


def _free_memory() -> float | None:
    """Free memory in GB, where the system says it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable")), None)
