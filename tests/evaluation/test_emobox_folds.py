"""EmoBox' folds as a protocol: as published, with their shared speakers counted."""

import pytest
from spoken_world import write_corpus

from hf_mser.corpora.emobox import ManifestEntry, write_fold
from hf_mser.evaluation.clips import read_clips
from hf_mser.evaluation.protocols import protocol
from hf_mser.evaluation.tasks import ProtocolError


def test_folds_are_kept_and_their_faults_told(tmp_path):
    clips = read_clips(write_corpus(tmp_path / "corpora" / "mine", "fr", speakers=3))

    def entries(chosen):
        return [ManifestEntry(clip.name, "mine", f"downloads/mine/{clip.name}", str(clip.emotion)) for clip in chosen]

    folder = tmp_path / "emobox" / "mine"
    gone = ManifestEntry("gone", "mine", "downloads/mine/gone.wav", "sad")
    write_fold(folder, 1, {"train": [*entries(clips[4:]), gone], "test": entries(clips[:4])})
    write_fold(folder, 2, {"train": entries(clips[8:]), "test": entries(clips[:8])})
    first, second = protocol(f"emobox:{tmp_path / 'emobox'}").tasks(clips, seeds=[0])

    assert [task.fold for task in (first, second)] == ["fold1", "fold2"]
    assert first.test == tuple(clips[:4])
    assert first.train == tuple(clips[4:])
    assert not first.speaker_independent
    assert "mine fold 1: 1 of 1 test speakers are trained on" in first.notes
    assert "mine fold 1: 1 clips of the manifest are not here" in first.notes
    assert "mine fold 2: 0 of 1 test speakers are trained on" in second.notes


def test_a_folder_without_manifests_is_named(tmp_path):
    with pytest.raises(ProtocolError, match="holds no EmoBox manifests"):
        protocol(f"emobox:{tmp_path}")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("corpus", "shared_speakers", "matched"),
    [("emodb", "10 of 10", 0.8), ("emovo", "0 of", 0.9), ("casia", "0 of", 0.9), ("urdu", "18 of 19", 0.9)],
)
def test_published_folds_share_the_speakers_that_the_literature_counts(shared, corpus, shared_speakers, matched):
    clips = read_clips(shared / "corpora" / corpus)
    (task,) = protocol(f"emobox:{shared / 'emobox' / corpus}").tasks(clips, seeds=[0])
    assert any(f"{corpus} fold 1: {shared_speakers}" in note for note in task.notes)
    judged = [clip for clip in clips if clip.emotion is not None]
    assert len(task.train) + len(task.test) + len(task.validation) >= matched * len(judged)
