"""`mser evaluate` from end to end, on real files and real checkpoints (random ones of a few thousand weights)."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from spoken_world import EMOTIONS, write_corpus
from tiny_models import put_together, whisper_config

from hf_mser.cli import main
from hf_mser.evaluation.checkpoint import CheckpointFactory, ModelNotFoundError, digest_of
from hf_mser.evaluation.cli import corpora_of
from hf_mser.evaluation.tasks import ProtocolError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_corpus(folder / "corpora" / "one", "fr", speakers=2, takes=1)
    write_corpus(folder / "corpora" / "two", "it", speakers=2, takes=1, emotions=("happy", "sad"))
    model, processor = put_together(folder / "backbones")
    model.save_pretrained(folder / "mser")
    processor.save_pretrained(folder / "mser")
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A checkpoint of Transformers' own audio classification, with label words of its own."""
    from transformers import WhisperFeatureExtractor, WhisperForAudioClassification

    folder = tmp_path_factory.mktemp("stranger")
    config = whisper_config()
    config.id2label = dict(enumerate(["anger", "joy", "sadness", "boredom"]))
    config.label2id = {word: index for index, word in config.id2label.items()}
    WhisperForAudioClassification(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def lines_of(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_one_command_gives_results_predictions_and_reports(world, tmp_path, capsys):
    arguments = ["--data", str(world / "corpora"), "--model", str(world / "mser"), "--output", str(tmp_path)]
    assert main(["evaluate", *arguments]) == 0
    captured = capsys.readouterr()
    assert re.search(r"^one +fr +8 ", captured.out, flags=re.MULTILINE)
    assert re.search(r"^mean of 2 ", captured.out, flags=re.MULTILINE)
    assert "100%" in captured.err

    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["model"] == {"name": "mser", "digest": digest_of(world / "mser"), "adapted": False}
    assert [line["corpus"] for line in lines_of(tmp_path)] == ["one"] * 8 + ["two"] * 4
    assert np.load(tmp_path / "embeddings.npy").shape == (12, 8)

    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for figure in ("confusion", "languages", "reliability", "embeddings"):
        assert f"(plots/{figure}.png)" in markdown
        assert (tmp_path / "plots" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page
    assert f"| one | fr | 8 | 2 | 4 | {100 * results['results'][0]['WA']:.1f} |" in markdown

    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["evaluate", *arguments]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_predictions_are_the_pipelines(world, tmp_path):
    from transformers import pipeline

    main(
        [
            "evaluate",
            "--data",
            str(world / "corpora" / "two"),
            "--model",
            str(world / "mser"),
            "--output",
            str(tmp_path),
        ]
    )
    pipe = pipeline("speech-emotion", model=str(world / "mser"))
    for line in lines_of(tmp_path):
        scores = {e["label"]: e["score"] for e in pipe(str(world / "corpora" / line["clip"]))}
        share = scores["happy"] / (scores["happy"] + scores["sad"])
        assert line["scores"] == {"happy": pytest.approx(share, abs=1e-4), "sad": pytest.approx(1 - share, abs=1e-4)}


def test_a_foreign_checkpoint_answers_with_its_own_words(world, stranger, tmp_path):
    arguments = [
        "--data",
        str(world / "corpora" / "one"),
        "--model",
        str(stranger),
        "--output",
        str(tmp_path),
        "--no-report",
    ]
    assert main(["evaluate", *arguments]) == 0
    for line in lines_of(tmp_path):
        assert list(line["scores"]) == list(EMOTIONS)
        assert line["scores"]["neutral"] == 0
        assert min(line["scores"][e] for e in ("happy", "sad", "angry")) > 0
    assert not (tmp_path / "report.md").exists()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["results"][0]["never_scored"] == ["neutral"]
    assert "one: the model has no word for neutral" in results["notes"]


def test_a_pattern_finds_the_checkpoint_of_each_task(world, tmp_path):
    for name in ("all-but-fr", "all-but-it"):
        (tmp_path / "runs").mkdir(exist_ok=True)
        os.symlink(world / "mser", tmp_path / "runs" / f"{name}-seed0")
    arguments = ["--model", str(tmp_path / "runs" / "{training_set}-seed{seed}"), "--data", str(world / "corpora")]
    arguments += [
        "--protocol",
        "leave-one-language-out",
        "--seeds",
        "0",
        "--no-report",
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(["evaluate", *arguments]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    names = [checkpoint["name"] for checkpoint in results["model"]["checkpoints"]]
    assert names == ["all-but-fr-seed0", "all-but-it-seed0"]
    assert [entry["source"] for entry in results["results"]] == ["all-but-fr", "all-but-it"]


def test_a_recording_on_both_sides_is_taken_out_of_training(world, tmp_path, capsys):
    corpora = tmp_path / "corpora"
    folders = [write_corpus(corpora / name, language, 2, 1) for name, language in (("one", "it"), ("two", "de"))]
    for number, path in enumerate(sorted(path for folder in folders for path in folder.glob("*.wav"))):
        # Noise, since two clear tones of one pitch are the same recording to any ear.
        soundfile.write(path, np.random.default_rng(number).uniform(-0.2, 0.2, 8000), 16_000)
    (corpora / "two" / "s0-sad-0.wav").write_bytes((corpora / "one" / "s0-sad-0.wav").read_bytes())
    arguments = ["--model", str(world / "mser"), "--data", str(corpora), "--no-report"]
    arguments += ["--protocol", "leave-one-language-out", "--output", str(tmp_path / "out")]
    assert main(["evaluate", *arguments]) == 0
    assert "note: 1 training clips left out: the same recordings as test clips" in capsys.readouterr().err


def test_comparing_two_folders(world, stranger, tmp_path, capsys):
    for name, model in (("ours", world / "mser"), ("theirs", stranger)):
        arguments = ["--data", str(world / "corpora"), "--model", str(model), "--no-report"]
        main(["evaluate", *arguments, "--output", str(tmp_path / name)])
    capsys.readouterr()
    assert main(["evaluate", "--compare", str(tmp_path / "ours"), str(tmp_path / "theirs")]) == 0
    assert capsys.readouterr().out.startswith("corpus  measure   first  second")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --data"),
        (["--data", "nowhere/at/all"], "nowhere/at/all"),
        (["--data", "{world}/corpora", "--protocol", "guess"], "no protocol 'guess'"),
        (["--data", "{world}/corpora", "--model", "./missing"], "no checkpoint ./missing"),
        (["--data", "{world}/corpora", "--model", "{world}/corpora"], "holds no config.json"),
        (["--data", "{world}/backbones"], "is no prepared corpus"),
        (["--compare", "{world}", "{world}"], "no finished evaluation"),
    ],
)
def test_wrong_use_is_named_and_exits_with_2(world, capsys, arguments, message):
    assert main(["evaluate", *(argument.format(world=world) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("bad", [["--batch-size", "0"], ["--classes", "sad"], ["--seeds", "x"]])
def test_wrong_options_exit_with_2(bad):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--data", "x", *bad])


def test_two_processes_of_torchrun_give_the_bytes_of_one(world, tmp_path):
    arguments = ["evaluate", "--data", str(world / "corpora"), "--model", str(world / "mser"), "--no-report"]
    arguments += ["--batch-size", "1"]
    main([*arguments, "--output", str(tmp_path / "alone")])
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command = [*launch, "-m", "hf_mser.cli", *arguments, "--output", str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("results.json", "predictions.jsonl", "embeddings.npy"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_one_checkpoint_serves_all_tasks(world):
    factory = CheckpointFactory(str(world / "mser"))
    assert not factory.by_task
    assert CheckpointFactory("runs/{target}").by_task
    with pytest.raises(ModelNotFoundError, match=r"no checkpoint \./gone"):
        CheckpointFactory("./gone").identity([])
    assert corpora_of(["emodb"]) == ["emodb"]
    with pytest.raises(ProtocolError, match="holds none"):
        corpora_of([str(world / "backbones")])
