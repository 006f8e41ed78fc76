"""Parallel sentences: enough of them, neutral, of one length in all languages, chosen without a look at emotion."""

import pytest

from hf_mser.emotions import SYNONYMS
from hf_mser.m5ser.sentences import choose, sentences
from hf_mser.m5ser.translate import LANGUAGES


def test_sixty_sentences_or_more_in_six_languages_each_once():
    rows = sentences()
    assert len(rows) >= 60
    for language in ("en", *LANGUAGES):
        texts = [row[language] for row in rows]
        assert all(texts)
        assert len(set(texts)) == len(rows)
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in row["zh"]) for row in rows)


def test_no_sentence_names_an_emotion_or_exclaims():
    words = {word for synonyms in SYNONYMS.values() for word in synonyms} - {"even"}
    for row in sentences():
        assert not words & set(row["en"].lower().strip(".?").split())
        assert not any(mark in text for text in row.values() for mark in "!?！？")


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_plain_readings_last_one_to_five_seconds(language):
    speaking = pytest.importorskip("hf_mser.m5ser.speaking")
    pytest.importorskip("espeakng_loader")
    longest = max(sentences(), key=lambda row: len(row[language]))
    shortest = min(sentences(), key=lambda row: len(row[language]))
    assert speaking.reading_seconds(shortest[language], language) > 0.6
    assert speaking.reading_seconds(longest[language], language) < 5.5


def test_the_choice_depends_on_the_clip_and_on_the_length_of_its_words_alone():
    assert choose("a/1", 2.0) == choose("a/1", 2.0)
    chosen = {choose(f"a/{number}", 2.0)["id"] for number in range(200)}
    assert len(chosen) == 12
    short = [len(choose(f"a/{number}", 0.8)["en"]) for number in range(50)]
    long = [len(choose(f"a/{number}", 4.0)["en"]) for number in range(50)]
    assert max(short) < min(long)
