"""The frozen-feature cache: exact, shared, bounded, and not impressed by damage."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_mser.modeling_mser import MSERForEmotionGeneration
from hf_mser.processing_mser import MSERProcessor
from hf_mser.training.feature_keys import clip_key, encoder_key
from hf_mser.training.features import FeatureCacheWarning, FrozenFeatureCache
from hf_mser.training.shards import FRAMES, INDEX

KIB = 1024


def frames_of(seed, size=64, dtype=torch.float32):
    return torch.randn(2, size // 8, 4, generator=torch.Generator().manual_seed(seed)).to(dtype)


def shards(cache):
    return sorted(cache.folder.glob(f"*{FRAMES}"))


@settings(max_examples=25, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(1, 8)), max_size=12),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_what_goes_in_comes_out_bit_for_bit(tmp_path_factory, shapes, dtype):
    folder = tmp_path_factory.mktemp("cache")
    stored = {f"clip{i}": torch.randn(shape).to(dtype) for i, shape in enumerate(shapes)}
    FrozenFeatureCache(folder, "encoder", shard_bytes=KIB).put_many(stored)
    reader = FrozenFeatureCache(folder, "encoder")
    assert len(reader) == len(stored)
    for clip, frames in stored.items():
        read = reader.get(clip)
        assert read.dtype == dtype
        assert torch.equal(read, frames)


def test_encoders_do_not_see_one_another(tmp_path):
    FrozenFeatureCache(tmp_path, "one").put_many({"clip": frames_of(0)})
    assert FrozenFeatureCache(tmp_path, "two").get("clip") is None


def test_a_reader_sees_what_another_process_stores_later(tmp_path):
    reader, writer = FrozenFeatureCache(tmp_path, "e"), FrozenFeatureCache(tmp_path, "e")
    assert reader.get("clip") is None
    writer.put_many({"clip": frames_of(1)})
    assert torch.equal(reader.get("clip"), frames_of(1))
    assert (reader.hits, reader.misses) == (1, 1)


@pytest.mark.filterwarnings("ignore::hf_mser.training.features.FeatureCacheWarning")
@pytest.mark.parametrize("damage", ["flipped bits", "cut short", "index cut", "index garbled", "frames gone"])
def test_damage_costs_the_clip_and_nothing_else(tmp_path, damage):
    stored = {f"clip{i}": frames_of(i) for i in range(8)}
    writer = FrozenFeatureCache(tmp_path, "e")
    writer.put_many(stored)
    writer.close()
    (shard,) = shards(writer)
    index = shard.with_name(shard.name.replace(FRAMES, INDEX))
    if damage == "flipped bits":
        content = bytearray(shard.read_bytes())
        content[700] ^= 0xFF
        shard.write_bytes(content)
    elif damage == "cut short":
        os.truncate(shard, 700)
    elif damage == "index cut":
        os.truncate(index, index.stat().st_size - 20)
    elif damage == "index garbled":
        index.write_bytes(index.read_bytes().replace(b"clip3", b'cl"p3'))
    else:
        shard.unlink()

    reader = FrozenFeatureCache(tmp_path, "e")
    lost = [clip for clip, frames in stored.items() if (read := reader.get(clip)) is None or not read.equal(frames)]
    assert all(reader.get(clip) is None for clip in lost)
    assert lost
    reader.put_many({clip: stored[clip] for clip in lost})
    again = FrozenFeatureCache(tmp_path, "e")
    assert all(again.get(clip).equal(frames) for clip, frames in stored.items())


def test_the_bound_holds_and_fullness_is_said_once(tmp_path):
    cache = FrozenFeatureCache(tmp_path, "e", max_bytes=8 * KIB, shard_bytes=2 * KIB)

    def fill():
        for i in range(60):
            cache.put_many({f"clip{i}": frames_of(i)})

    with pytest.warns(FeatureCacheWarning, match="stores nothing more") as caught:
        fill()
    assert len(caught) == 1
    assert cache.bytes_on_disk() <= 8 * KIB
    kept = [i for i in range(60) if cache.get(f"clip{i}") is not None]
    assert kept == list(range(len(kept)))
    assert len(kept) >= 24


def test_shards_of_other_encoders_make_room(tmp_path):
    old = FrozenFeatureCache(tmp_path, "old", max_bytes=4 * KIB, shard_bytes=2 * KIB)
    old.put_many({f"clip{i}": frames_of(i) for i in range(16)})
    new = FrozenFeatureCache(tmp_path, "new", max_bytes=4 * KIB, shard_bytes=2 * KIB)
    new.put_many({f"clip{i}": frames_of(100 + i) for i in range(14)})
    assert all(new.get(f"clip{i}").equal(frames_of(100 + i)) for i in range(14))
    assert old.get("clip0") is None
    assert new.bytes_on_disk() <= 4 * KIB


def _store(folder, worker):
    cache = FrozenFeatureCache(folder, "e", max_bytes=64 * KIB, shard_bytes=4 * KIB)
    for i in range(40):
        cache.put_many({f"clip{(i + 7 * worker) % 40}": frames_of((i + 7 * worker) % 40)})
    cache.close()


def test_several_processes_write_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_store, args=(tmp_path, worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    cache = FrozenFeatureCache(tmp_path, "e")
    assert cache.bytes_on_disk() <= 64 * KIB
    assert all(cache.get(f"clip{i}").equal(frames_of(i)) for i in range(40))


def test_space_that_a_killed_process_claimed_is_given_back(tmp_path):
    script = (
        "import os, sys, torch\n"
        "from hf_mser.training.features import FrozenFeatureCache\n"
        "cache = FrozenFeatureCache(sys.argv[1], 'e', max_bytes=8192, shard_bytes=8192)\n"
        "cache.put_many({'clip': torch.ones(2, 8, 4)})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    cache = FrozenFeatureCache(tmp_path, "e", max_bytes=8 * KIB, shard_bytes=4 * KIB)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put_many({"another": frames_of(3)})
    assert cache.get("another").equal(frames_of(3))
    assert cache.get("clip").equal(torch.ones(2, 8, 4))


def test_a_pickled_cache_reads_the_same_folder(tmp_path):
    cache = FrozenFeatureCache(tmp_path, "e")
    cache.put_many({"clip": frames_of(0)})
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.get("clip").equal(frames_of(0))
    copy.put_many({"more": frames_of(1)})
    assert cache.get("more").equal(frames_of(1))
    assert len(shards(cache)) == 2


def test_a_key_is_of_the_content_and_not_of_the_name(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    (tmp_path / "b.wav").write_bytes(b"sound")
    (tmp_path / "c.wav").write_bytes(b"other")
    keys = [clip_key(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    assert keys[0] == keys[1] != keys[2]
    assert clip_key({"path": str(tmp_path / "a.wav"), "bytes": None}) == keys[0]
    ones, zeros = torch.ones(4).numpy(), torch.zeros(4).numpy()
    assert clip_key({"array": ones, "sampling_rate": 16_000}) != clip_key({"array": zeros, "sampling_rate": 16_000})
    assert clip_key({"array": ones, "sampling_rate": 16_000}) != clip_key({"array": ones, "sampling_rate": 8_000})


def test_an_encoder_has_the_same_key_wherever_it_lies_and_another_where_it_hears_differently(make_model, tmp_path):
    model, processor = make_model()
    key = encoder_key(model, processor)
    model.save_pretrained(tmp_path / "stage1")
    processor.save_pretrained(tmp_path / "stage1")
    again = MSERForEmotionGeneration.from_pretrained(tmp_path / "stage1")
    assert (
        encoder_key(again, MSERProcessor.from_pretrained(tmp_path / "stage1")) == key
    )  # stage 2 reads stage 1's cache
    model.config.speech_config._name_or_path = "elsewhere"
    assert encoder_key(model, processor) == key
    processor.feature_extractor.hop_length = 80
    assert encoder_key(model, processor) != key
    processor.feature_extractor.hop_length = 160
    next(model.speech_encoder.parameters()).data[0] += 1.0
    assert encoder_key(model, processor) != key
