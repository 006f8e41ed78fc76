"""`upload.py` says what is wrong and how to mend it, and leaves the repository whole or untouched."""

import huggingface_hub.constants
import pytest
from huggingface_hub import utils

from hf_mser.hub.cli import main
from hf_mser.hub.publishing import files_of


@pytest.fixture
def hub(local_hub, monkeypatch, tmp_path):
    """The local Hub for the client in this process, with nobody logged in."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", local_hub.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "nobody"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    utils.disable_progress_bars()
    return local_hub


@pytest.fixture
def writer(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.WRITER)
    return hub


@pytest.fixture
def metric(tmp_path):
    """A metric of our own: one small file, one that goes to the large-file storage."""
    folder = tmp_path / "loudness"
    folder.mkdir()
    head = "---\ntitle: Loudness\nsdk: gradio\napp_file: app.py\n---\n"
    (folder / "README.md").write_text(head, encoding="utf-8")
    (folder / "app.py").write_text('launch(load("loudness.py"))\n', encoding="utf-8")
    (folder / "loudness.py").write_text("# a module\n" * 1000, encoding="utf-8")
    return folder


def upload(metric, *options, repo="org/loudness") -> int:
    return main(["metric", str(metric), "--repo", repo, *options])


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_of(folder)}


def published(hub, repo="org/loudness", revision="main") -> dict[str, bytes] | None:
    known = ("space", repo) in hub.store.repos
    return hub.store.files("space", repo, revision) if known else None


@pytest.mark.parametrize(
    ("token", "repo", "said"),
    [
        (None, "org/loudness", "no token for the Hub. Run `hf auth login`, or set HF_TOKEN"),
        ("hf_wrong", "org/loudness", "does not accept the token: it is wrong, expired, or revoked"),
        ("hf_reader", "org/loudness", "org/loudness: the token may not write there"),
        ("hf_writer", "others/loudness", "of somebody who is a member of others"),
    ],
)
def test_a_token_that_will_not_do(hub, metric, monkeypatch, capsys, token, repo, said):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert upload(metric, repo=repo) == 2
    assert said in capsys.readouterr().err
    assert published(hub, repo) is None


def test_one_commit_holds_everything_on_the_branch_that_was_asked_for(writer, metric):
    assert upload(metric, "--private", "--revision", "tries") == 0
    repo = writer.store.repo("space", "org/loudness")
    assert repo.private
    assert repo.titles == ["initial commit", "Upload metric with hf_mser"]
    assert published(writer, revision="tries") == contents(metric)
    assert published(writer) == {}


def test_a_full_quota_publishes_nothing_and_can_be_mended(writer, metric, capsys):
    writer.store.quota = 5000
    assert upload(metric) == 2
    assert "storage quota is used up" in capsys.readouterr().err
    assert published(writer) == {}
    writer.store.quota = None
    assert upload(metric) == 0
    assert published(writer) == contents(metric)


def test_a_broken_connection_leaves_the_repository_alone_and_the_next_run_goes_on(writer, metric, capsys):
    assert upload(metric) == 0
    before = published(writer)
    (metric / "loudness.py").write_text("# a better module\n" * 1000, encoding="utf-8")
    writer.faults.broken_commits = 1
    assert upload(metric) == 2
    assert "the connection to the Hub broke" in capsys.readouterr().err
    assert published(writer) == before
    sent = len([request for request in writer.requests if request.startswith("PUT")])
    assert sent == 2
    assert upload(metric) == 0
    assert published(writer) == contents(metric)
    assert len([request for request in writer.requests if request.startswith("PUT")]) == sent


def test_an_upload_that_breaks_off_is_tried_again(writer, metric):
    writer.faults.broken_uploads = 1
    assert upload(metric) == 0
    assert published(writer) == contents(metric)


def test_code_that_is_gone_here_is_gone_there_and_other_peoples_files_stay(writer, metric):
    writer.store.add("space", "org/loudness", [("old.py", b"import nothing"), ("picture.svg", b"<svg/>")])
    assert upload(metric) == 0
    assert published(writer) == {**contents(metric), "picture.svg": b"<svg/>"}


def test_a_metric_takes_the_name_of_its_repository(writer, metric):
    assert upload(metric, repo="org/noise") == 0
    files = published(writer, "org/noise")
    assert set(files) == {"README.md", "app.py", "noise.py"}
    assert files["noise.py"] == (metric / "loudness.py").read_bytes()
    assert b"noise.py" in files["app.py"]


def test_to_writes_the_folder_that_the_hub_would_hold(writer, metric, tmp_path, capsys):
    assert upload(metric, "--to", str(tmp_path / "deep" / "out")) == 0
    assert upload(metric, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert f"{(metric / 'loudness.py').stat().st_size:>14,}  loudness.py" in printed
    assert writer.requests == []
    assert upload(metric) == 0
    assert published(writer) == contents(tmp_path / "deep" / "out")
    assert upload(metric, "--to", str(tmp_path / "deep" / "out")) == 2
    assert "is there already and not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "app.py").unlink(), "holds no app.py"),
        (lambda folder: (folder / "loudness.py").unlink(), "the module of a metric has the name of its folder"),
        (
            lambda folder: (folder / "notes.txt").write_text("hf_" + "a1" * 17, encoding="utf-8"),
            "notes.txt holds what looks like a token",
        ),
        (
            lambda folder: (folder / "README.md").write_text("---\ntitle: 7\nsdk: gradio\n---\n", encoding="utf-8"),
            "the Hub does not accept the card",
        ),
    ],
)
def test_a_folder_that_cannot_be_published_says_why(writer, metric, capsys, change, said):
    change(metric)
    assert upload(metric) == 2
    assert said in capsys.readouterr().err
    assert not published(writer)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["metric", "nowhere", "--repo", "org/x"], "nowhere is not a folder"),
        (["metric", ".", "--repo", "x"], "give the owner, too, as in org/x"),
        (["metric", ".", "--repo", "org/--x..git"], "--repo 'org/--x..git'"),
        (["space", ".", "--repo", "org/x", "--full"], "--full is for checkpoints alone"),
        (["dataset", "{empty}", "--repo", "org/x", "--dry-run"], "is no data set"),
        (["checkpoint", "{empty}", "--repo", "org/x", "--dry-run"], "holds no config.json"),
    ],
)
def test_wrong_use_is_named(tmp_path, capsys, arguments, said):
    (tmp_path / "empty").mkdir()
    assert main([argument.replace("{empty}", str(tmp_path / "empty")) for argument in arguments]) == 2
    assert said in capsys.readouterr().err
