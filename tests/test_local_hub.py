"""The local Hub answers the real client as the Hub would: what goes up comes down, and what may not, does not."""

import json

import pytest
from local_hub.metadata import metadata_faults

ROUND_TRIP = """
import json, sys
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download

api = HfApi()
api.create_repo("org/one", private=True)
api.create_repo("org/one", exist_ok=True)
first = api.upload_folder(repo_id="org/one", folder_path="up")
again = api.upload_folder(repo_id="org/one", folder_path="up")
api.create_branch("org/one", branch="tries")
api.upload_file(repo_id="org/one", path_or_fileobj=b"new", path_in_repo="small.txt", revision="tries")
folder = snapshot_download("org/one", revision="main")
tree = sorted(entry.path for entry in api.list_repo_tree("org/one", recursive=True))
part = HfFileSystem().open("org/one/deep/large.bin").read(10_000)[5000:5004]
on_branch = open(hf_hub_download("org/one", "small.txt", revision="tries")).read()
print(json.dumps([folder, first.oid, again.oid, tree, part.hex(), on_branch]))
"""


def test_a_folder_goes_up_and_comes_down_byte_for_byte(local_hub, tmp_path):
    home = tmp_path / "client"
    content = {"small.txt": b"small", "deep/large.bin": bytes(range(256)) * 64}
    for name, data in content.items():
        (home / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "up" / name).write_bytes(data)
    done = local_hub.python(ROUND_TRIP, home, local_hub.WRITER)
    folder, first, again, tree, part, on_branch = json.loads(done.stdout)
    assert {name: (home / folder / name).read_bytes() for name in content} == content
    assert local_hub.store.files("model", "org/one") == content
    assert first == again == local_hub.store.repo("model", "org/one").branches["main"]
    assert tree == [".gitattributes", "deep", "deep/large.bin", "small.txt"]
    assert part == content["deep/large.bin"][5000:5004].hex()
    assert on_branch == "new"
    assert any(request.startswith("PUT /lfs/") for request in local_hub.requests)


@pytest.mark.parametrize(
    ("token", "error"),
    [(None, "Invalid username or password"), ("hf_wrong", "Invalid credentials"), ("hf_reader", "write")],
)
def test_nobody_writes_without_the_right_to(local_hub, tmp_path, token, error):
    local_hub.store.create("model", "org/one")
    code = (
        "from huggingface_hub import HfApi; "
        "HfApi().upload_file(repo_id='org/one', path_or_fileobj=b'x', path_in_repo='x.txt')"
    )
    done = local_hub.python(code, tmp_path / "client", token, check=False)
    assert done.returncode != 0
    assert error in done.stderr
    assert local_hub.store.files("model", "org/one") == {}


@pytest.mark.parametrize(
    ("head", "kind", "fault"),
    [
        ("license: mit\ntags: [a, b]", "model", None),
        ("license: [mit]", "model", '"license" must be a string'),
        ("language: {de: 1}", "dataset", '"language" must be a string or a list of strings'),
        ("title: t", "space", '"sdk" is required'),
        ("license: other", "model", '"license_name" is required'),
        ("model-index:\n- name: x\n  results:\n  - task: {}", "model", "cannot be read"),
        ("license: 'open", "model", "cannot be read"),
    ],
)
def test_metadata_is_checked(head, kind, fault):
    faults = metadata_faults(f"---\n{head}\n---\n", kind)
    assert len(faults) == bool(fault)
    assert all(fault in found for found in faults)
