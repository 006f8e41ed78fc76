"""CMU-MOSEI: English YouTube monologues, segments rated for six emotions at once."""

from collections.abc import Iterator
from pathlib import Path

from .definition import Clip, Corpus, Problem
from .reading import files, missing, one_file
from .schema import CorpusError

_RATED = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")


def _read(source: Path) -> Iterator[Clip | Problem]:
    recordings = {Path(path).stem: path for path in files(source) if "/WAV_16000/" in f"/{path}"}
    labels = one_file(source, "CMU_MOSEI_Labels.csd")
    texts = dict(_texts(source))
    for video, segments in _labels(labels):
        if video not in recordings:
            yield missing(f"{video}.wav", labels)
            continue
        for number, (start, end, ratings) in enumerate(segments):
            yield Clip(
                id=f"{video}_{number}",
                path=recordings[video],
                label=strongest(ratings),
                speaker=video,
                text=texts.get((video, round(start, 1))),
                start=start,
                end=end,
            )


def strongest(ratings: list[float]) -> str:
    """The one emotion of a segment: the strongest rating, neutral without any, ambiguous on a tie.

    Example:
        >>> strongest([0.0, 1.3, 0.3, 0.0, 0.0, 0.0]), strongest([0.0] * 6), strongest([1.0, 1.0, 0, 0, 0, 0])
        ('sadness', 'neutral', 'ambiguous')
    """
    highest = max(ratings)
    if highest <= 0:
        return "neutral"
    leaders = [name for name, rating in zip(_RATED, ratings, strict=True) if rating == highest]
    return leaders[0] if len(leaders) == 1 else "ambiguous"


def _labels(path: Path) -> Iterator[tuple[str, list[tuple[float, float, list[float]]]]]:
    """Video -> segments of the computational sequence: start, end, the six ratings after the sentiment."""
    try:
        import h5py
    except ImportError as error:
        raise CorpusError(f"{path.name} is an HDF5 file; `pip install h5py` to read it.") from error
    with h5py.File(path, "r") as file:
        data = file["All Labels"]["data"]
        for video in sorted(data):
            spans = data[video]["intervals"][()].tolist()
            ratings = data[video]["features"][()].tolist()
            yield video, [(start, end, values[1:7]) for (start, end), values in zip(spans, ratings, strict=True)]


def _texts(source: Path) -> Iterator[tuple[tuple[str, float], str]]:
    """Lines of the segmented transcripts: video___number___start___end___text."""
    for path in sorted(source.rglob("Segmented/Combined/*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split("___", maxsplit=4)
            if len(fields) == 5:
                yield (fields[0], round(float(fields[2]), 1)), fields[4].strip()


CORPUS = Corpus(
    name="cmu_mosei",
    title="CMU-MOSEI: Multimodal Opinion Sentiment and Emotion Intensity",
    language="en",
    licence="research only; the sound is of YouTube videos",
    citation="Bagher Zadeh et al., Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset, ACL 2018",
    homepage="http://multicomp.cs.cmu.edu/resources/cmu-mosei-dataset/",
    layout="CMU_MOSEI_Labels.csd, Raw/Audio/Full/WAV_16000/*.wav, Raw/Transcript/Segmented/Combined/*.txt",
    reader=_read,
    hashed_split=True,
    notes=(
        "Several emotions may be rated at once; we take the strongest, none is neutral, a tie is ambiguous. Speakers "
        "are not published: `speaker` is the video, and a person with two videos may stand on two sides. The authors' "
        "folds are lists in their SDK and are not repeated here.",
    ),
)
