"""Protocols on made-up and real corpora: who stands where, and that nothing crosses."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.evaluation import held_out, pairs, protocols
from hf_mser.evaluation.clips import Clip, read_clips
from hf_mser.evaluation.pool import Pool
from hf_mser.evaluation.protocols import protocol
from hf_mser.evaluation.tasks import LeakageError, ProtocolError, Task

FOUR = ("neutral", "happy", "sad", "angry")


def corpus(name, language, speakers=6, emotions=FOUR, takes=2, splits=("train", "train", "validation", "test")):
    return [
        Clip(
            name,
            f"{speaker}-{emotion}-{take}.wav",
            audio=None,
            emotion=emotion,
            speaker=f"s{speaker}",
            language=language,
            split=splits[speaker % len(splits)],
        )
        for speaker in range(speakers)
        for emotion in emotions
        for take in range(takes)
    ]


WORLD = [
    *corpus("one", "fr"),
    *corpus("two", "fr", speakers=4, emotions=(*FOUR, "fear")),
    *corpus("three", "it", emotions=FOUR[:3]),
    *corpus("four", "en", speakers=9),
]
EDRL_WORLD = (
    [
        clip
        for name, language in [("emodb", "de"), ("cafe", "fr"), ("meld", "en"), ("urdu", "ur")]
        for clip in corpus(name, language)
    ]
    + corpus("esd", "zh")
    + [replace(clip, name=f"en-{clip.name}", speaker=f"e{clip.speaker}", language="en") for clip in corpus("esd", "en")]
)
SERE_WORLD = [
    clip
    for name, language in [("emodb", "de"), ("casia", "zh"), ("enterface", "en"), ("emovo", "it")]
    for clip in corpus(name, language, emotions=FOUR if name != "enterface" else (*FOUR[1:], "fear"), takes=3)
]


def speakers(clips):
    return {clip.speaker_key for clip in clips}


def test_the_names_are_known_and_a_wrong_one_lists_them():
    assert set(protocols.names()) >= {
        "within-corpus",
        "leave-one-language-out",
        "mser-zero-shot",
        "edrl",
        "sere",
    }
    with pytest.raises(ProtocolError, match=r"no protocol 'lolo'. Known: whole-corpus, .*emobox:DIR"):
        protocol("lolo")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=20),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_folds_part_the_speakers_and_keep_every_clip(sizes, folds, seed):
    clips = [Clip("c", f"{s}-{i}.wav", None, "sad", f"s{s}") for s, size in enumerate(sizes) for i in range(size)]
    parts = held_out.speaker_folds(clips, folds, seed)
    assert sorted(clip.key for part in parts for clip in part) == sorted(clip.key for clip in clips)
    homes = [speakers(part) for part in parts]
    assert sum(map(len, homes)) == len(set().union(*homes)) == len(sizes)
    # Largest first into the emptiest fold: no fold exceeds another by more than the largest speaker.
    assert max(map(len, parts)) - min(map(len, parts)) <= max(sizes)


def test_within_corpus_tests_every_clip_once_with_three_parts():
    tasks = protocol("within-corpus").tasks(WORLD, seeds=[0])
    ones = [task for task in tasks if task.target == "one"]
    assert len(ones) == 5
    assert sorted(clip.key for task in ones for clip in task.test) == sorted(c.key for c in WORLD if c.corpus == "one")
    for task in ones:
        sides = [speakers(side) for side in (task.train, task.validation, task.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set().union(*sides)) == 6


def test_the_seed_moves_the_folds():
    folds = {seed: [t.test for t in protocol("within-corpus").tasks(WORLD, seeds=[seed])] for seed in (0, 1)}
    assert folds[0] != folds[1]
    assert folds[0] == [t.test for t in protocol("within-corpus").tasks(WORLD, seeds=[0])]


def test_leave_one_language_out_never_trains_on_the_language():
    tasks = {task.target: task for task in protocol("leave-one-language-out").tasks(WORLD, seeds=[0])}
    assert list(tasks) == ["one", "two", "three", "four"]
    for name, task in tasks.items():
        assert {c.corpus for c in task.test} == {name}
        assert {c.language for c in task.test}.isdisjoint(c.language for c in task.train + task.validation)
    assert tasks["one"].training_set == tasks["two"].training_set == "all-but-fr"
    assert tasks["two"].classes == (*FOUR, "fear")
    assert tasks["three"].classes == FOUR[:3]
    assert {c.split for c in tasks["one"].validation} == {"validation"}


def test_leave_one_corpus_out_trains_on_the_other_corpus_of_the_language():
    tasks = {task.target: task for task in protocol("leave-one-corpus-out").tasks(WORLD, seeds=[0])}
    assert {c.corpus for c in tasks["one"].train} == {"two", "three", "four"}


def test_other_languages_of_the_same_corpus_have_its_speakers_and_stay_out():
    bilingual = [replace(c, name=f"de-{c.name}", language="de") for c in corpus("one", "fr")]
    tasks = {t.target: t for t in protocol("leave-one-language-out").tasks([*WORLD, *bilingual], seeds=[0])}
    assert {c.corpus for c in tasks["one-de"].train} == {"two", "three", "four"}
    assert {c.corpus for c in tasks["one-fr"].train} == {"three", "four"}
    assert tasks["one-fr"].training_set != tasks["two"].training_set


def test_mser_zero_shot_trains_on_english_and_synthetic_and_tests_the_rest_whole():
    world = [*WORLD, *corpus("m5ser_fr", "fr"), *corpus("five", "en")]
    tasks = {task.target: task for task in protocol("mser-zero-shot").tasks(world, seeds=[0])}
    assert list(tasks) == ["one", "two", "three"]
    assert {c.corpus for c in tasks["one"].train} == {"four", "five", "m5ser_fr"}
    assert len(tasks["one"].test) == sum(c.corpus == "one" for c in world)
    with_papers = protocol("mser-zero-shot").tasks([*world, *corpus("meld", "en")], seeds=[0])
    assert {c.corpus for c in with_papers[0].train} == {"meld", "m5ser_fr"}
    assert {task.target for task in with_papers} == {"one", "two", "three", "four", "five"}


def test_edrl_has_nine_tasks_and_keeps_urdu_out_of_training():
    tasks = protocol("edrl").tasks(EDRL_WORLD, seeds=[0])
    pairs_seen = {(task.source, task.target) for task in tasks}
    assert len(tasks) == len(pairs_seen) == 9
    assert {target for _, target in pairs_seen} == {"emodb", "cafe", "esd-zh"}
    assert {source for source, target in pairs_seen if target == "emodb"} == {"meld", "esd-zh", "cafe"}
    for task in tasks:
        taught = task.train + task.auxiliary + task.validation
        assert task.classes == FOUR
        assert {c.language for c in task.test}.isdisjoint(c.language for c in taught)
        assert "urdu" not in {c.corpus for c in taught}
        assert {c.corpus for c in task.train} == {task.source.removesuffix("-zh")}


def test_sere_has_twelve_tasks_a_seed_with_five_labels_an_emotion():
    protocol_ = protocol("sere")
    assert len(protocol_.tasks(SERE_WORLD)) == 12 * 5
    for task in protocol_.tasks(SERE_WORLD, seeds=[0]):
        assert task.transductive
        counts = {e: sum(c.emotion == e for c in task.train) for e in task.classes}
        assert counts == dict.fromkeys(task.classes, 5)
        assert {c.key for c in task.test} <= {c.key for c in task.unlabelled}
        assert {c.corpus for c in task.train} == {task.source}
        assert ("neutral" in task.classes) == ("enterface" not in (task.source, task.target))


def test_inductive_sere_hears_other_speakers_and_tests_every_clip_once():
    tasks = protocol("sere-any-inductive").tasks(SERE_WORLD, seeds=[0])
    assert len(tasks) == 12 * 2
    transductive = {(t.source, t.target): t for t in protocol("sere-any").tasks(SERE_WORLD, seeds=[0])}
    tested = {}
    for task in tasks:
        assert not task.transductive
        assert speakers(task.test).isdisjoint(speakers(task.unlabelled))
        assert task.train == transductive[task.source, task.target].train
        tested.setdefault((task.source, task.target), []).extend(task.test)
    for pair, clips in tested.items():
        assert sorted(c.key for c in clips) == sorted(c.key for c in transductive[pair].test)


def test_shots_of_an_emotion_do_not_depend_on_the_other_classes():
    clips = [c for c in SERE_WORLD if c.corpus == "emodb"]
    alone = pairs.draw_shots(clips, ["sad"], seed=1)
    together = pairs.draw_shots(clips, ["happy", "sad"], seed=1)
    assert alone == together[5:]
    assert alone != pairs.draw_shots(clips, ["sad"], seed=2)


def test_a_missing_corpus_is_named():
    with pytest.raises(ProtocolError, match=r"corpus meld is needed and not here. Given: .*emodb"):
        protocol("edrl").tasks([c for c in EDRL_WORLD if c.corpus != "meld"])


def test_urdu_is_for_testing_and_baved_for_nothing():
    world = [*WORLD, *corpus("urdu", "ur"), *corpus("baved", "ar", emotions=("neutral",))]
    pool = Pool.of(world)
    assert "urdu" not in {unit.corpus for unit in pool.trainable}
    assert pool.left_out == {"baved": "its labels are not emotions"}
    tasks = protocol("leave-one-language-out").tasks(world, seeds=[0])
    assert "urdu" in {task.target for task in tasks}
    assert not {"urdu", "baved"} & {c.corpus for task in tasks for c in task.train + task.validation}
    assert "baved left out: its labels are not emotions" in tasks[0].notes
    within = protocol("within-corpus").tasks(world, seeds=[0])
    assert not {"urdu", "baved"} & {task.target for task in within}


def test_classes_can_be_narrowed_and_what_goes_is_said():
    tasks = protocol("whole-corpus").tasks(WORLD, seeds=[0], classes=("happy", "sad"))
    assert {task.classes for task in tasks} == {("happy", "sad")}
    assert "one (part) left out: 24 of 48 clips have no class here" in tasks[0].notes


def test_no_task_says_why():
    with pytest.raises(ProtocolError, match=r"leave-one-language-out has no task on one"):
        protocol("leave-one-language-out").tasks(corpus("one", "fr"))
    with pytest.raises(ProtocolError, match="only sad is left"):
        protocol("whole-corpus").tasks(corpus("one", "fr", emotions=("sad",)))


def test_a_language_with_one_emotion_is_tested_with_the_others_of_its_corpus():
    french = [replace(clip, name=f"fr-{clip.name}") for clip in corpus("one", "fr", emotions=("sad",))]
    mixed = [*french, *corpus("one", "it", emotions=("happy", "sad"))]
    single, rich = protocol("whole-corpus").tasks([*mixed, *corpus("two", "de")])
    assert (single.name, single.classes, len(single.test)) == ("one", ("happy", "sad"), len(mixed))
    assert single.notes == ("one: tested as one, since there is only one emotion in fr",)
    assert (rich.name, rich.notes) == ("two", ())


class TestLeakage:
    clips = corpus("one", "fr")

    @staticmethod
    def side(*numbers):
        return tuple(c for c in TestLeakage.clips if c.speaker in [f"s{n}" for n in numbers])

    def task(self, **sides):
        return Task("mine", "one", "one", FOUR, **sides)

    def test_clean_sides_pass(self):
        task = self.task(train=self.side(0, 1), validation=self.side(2), test=self.side(3))
        assert task.check() is task

    def test_a_clip_on_both_sides(self):
        with pytest.raises(LeakageError, match=r"one/0-neutral-0.wav stands in train and in test"):
            self.task(train=self.side(0), test=self.side(0)).check()

    def test_a_speaker_on_both_sides(self):
        both = self.side(0)
        with pytest.raises(LeakageError, match="1 speakers of the test side also stand in the training side: one/s0"):
            self.task(train=both[:4], test=both[4:]).check()
        allowed = self.task(train=both[:4], test=both[4:], speaker_independent=False).check()
        assert allowed.shared_speakers == ("one/s0",)
        assert allowed.summary()["shared_speakers"] == 1

    def test_a_validation_speaker_in_training(self):
        both = self.side(0)
        with pytest.raises(LeakageError, match="validation speakers"):
            self.task(train=both[:4], validation=both[4:], test=self.side(1)).check()

    def test_a_recording_on_both_sides(self):
        task = self.task(train=self.side(0), test=self.side(1))
        twins = {task.train[0].key: "r1", task.test[0].key: "r1"}
        with pytest.raises(LeakageError, match=r"one/1-neutral-0.wav = one/0-neutral-0.wav"):
            task.check(twins)
        cleaned = task.without_twins(twins).check(twins)
        assert len(cleaned.train) == len(task.train) - 1
        assert cleaned.test == task.test
        assert cleaned.notes == ("1 training clips left out: the same recordings as test clips",)

    def test_unlabelled_test_clips_need_a_transductive_protocol(self):
        task = self.task(train=self.side(0), unlabelled=self.side(1), test=self.side(1))
        with pytest.raises(LeakageError, match="unlabelled"):
            task.check()
        replace(task, transductive=True).check()

    def test_clips_without_an_emotion_or_outside_the_classes(self):
        with pytest.raises(ProtocolError, match="has no emotion"):
            self.task(test=(replace(self.clips[0], emotion=None),)).check()
        with pytest.raises(ProtocolError, match="test clips with boredom"):
            self.task(test=(replace(self.clips[0], emotion="boredom"),)).check()
        with pytest.raises(ProtocolError, match="no clip to test"):
            self.task(test=()).check()


@pytest.mark.shared
def test_every_protocol_holds_on_the_real_corpora(shared):
    folders = sorted(path for path in (shared / "corpora").iterdir() if path.is_dir())
    clips = [clip for folder in folders for clip in read_clips(folder)]
    sizes = {
        name: len(protocol(name).tasks(clips, seeds=[0])) for name in protocols.names() if name not in ("edrl", "sere")
    }
    assert sizes["whole-corpus"] == sizes["leave-one-language-out"] == 9  # all but BAVED
    assert sizes["mser-zero-shot"] == 7
    assert sizes["sere-any"] == 8 * 8  # every ordered pair of nine corpora, URDU never the source
    assert sizes["edrl-any"] == 8 * 9 - 8 - 2  # not into itself, not between the two English corpora
