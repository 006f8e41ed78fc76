"""The command behind `upload.py`: write the folder, check it, show it, publish it."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import MSERError
from .checking import check_checkpoint
from .errors import HubError
from .publishing import check_access, files_of, publish, refuse_secrets

KINDS = {"checkpoint": "model", "dataset": "dataset", "metric": "space", "space": "space"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `upload.py`; returns its exit status: 0 done, 2 something to mend first.

    Example:
        >>> main(["metric", "metrics/mser_metrics", "--repo", "org/mser_metrics", "--dry-run"])  # doctest: +SKIP
        0
    """
    parser = argparse.ArgumentParser(
        prog="upload.py", description="Publish a checkpoint, data set, metric or Space on the Hugging Face Hub."
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("source", type=Path, help="the folder of the checkpoint, corpus, metric or Space")
    parser.add_argument("--repo", required=True, metavar="ORG/NAME")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    parser.add_argument("--revision", metavar="R", help="the branch; it is made if it is missing")
    parser.add_argument("--full", action="store_true", help="checkpoint: include the backbones")
    parser.add_argument("--dry-run", action="store_true", help="list files and sizes, publish nothing")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="write the folder that the Hub would hold, publish nothing"
    )
    args = parser.parse_args(argv)
    try:
        _upload(args)
    except MSERError as error:
        print(f"upload.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _upload(args: argparse.Namespace) -> None:
    _check_names(args)
    publishing = not args.dry_run and args.to is None
    if publishing:
        check_access(args.repo)
    with tempfile.TemporaryDirectory(prefix="hf-mser-", dir=_beside(args.to)) as place:
        folder = Path(place) / args.repo.split("/")[1]
        _write(args, folder)
        refuse_secrets(folder)
        _show(folder)
        if args.to is not None and not args.dry_run:
            args.to.parent.mkdir(parents=True, exist_ok=True)
            if args.to.is_dir():
                args.to.rmdir()  # it is empty
            os.replace(folder, args.to)
            print(f"written to {args.to}")
        if publishing:
            address = publish(
                folder,
                args.repo,
                KINDS[args.kind],
                private=args.private or None,
                revision=args.revision,
                message=f"Upload {args.kind} with hf_mser",
            )
            print(f"published: {address}")


def _write(args: argparse.Namespace, folder: Path) -> None:
    """The folder that the Hub will hold, checked."""
    if args.kind == "checkpoint":
        from .checkpoint import write_checkpoint, write_weights_licence

        write_checkpoint(args.source, folder, full=args.full)
        write_weights_licence(folder, _write_model_card(args.source, folder, args.repo))
        difference = check_checkpoint(folder, args.source)
        print(f"checked: without hf_mser it answers alike (largest difference of a score {difference:.1g})")
    elif args.kind == "dataset":
        from ..cards.dataset_card import dataset_card
        from .dataset import write_dataset

        facts = write_dataset(args.source, folder)
        if facts is not None:
            (folder / "README.md").write_text(dataset_card(facts, args.repo), encoding="utf-8")
            print(f"terms to respect: {'; '.join(facts['licences']) or 'none stated'}", file=sys.stderr)
    else:
        from .space import write_metric, write_space

        if args.kind == "metric":
            write_metric(args.source, folder, args.repo)
        else:
            write_space(args.source, folder)


def _write_model_card(source: Path, folder: Path, repo: str) -> dict[str, object]:
    """The README: filled in from the run folder, or the one that somebody wrote; returns its metadata."""
    from huggingface_hub import ModelCard

    from ..cards.model_card import MARK, ModelFacts, model_card
    from ..cards.run_card import is_run_folder, run_facts

    readme = source / "README.md"
    written = readme.read_text(encoding="utf-8") if readme.is_file() else None
    if is_run_folder(source) and (written is None or MARK in written):
        text = model_card(run_facts(source), repo)
    elif written is not None:
        text = written.replace("ORG/NAME", repo)
    else:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        unknown = "Not stated. Ask whoever trained it, and add it here."
        text = model_card(
            ModelFacts(
                name=repo.split("/")[1],
                description="A speech emotion model for hf_mser.",
                config=config,
                licence="not stated",
                known_licence=False,
                training_data=unknown,
                data_terms="",
                procedure=unknown,
            ),
            repo,
        )
        print(f"{source} has no README.md and is no run folder: its card says little. Add one.", file=sys.stderr)
    (folder / "README.md").write_text(text, encoding="utf-8")
    head: dict[str, object] = ModelCard(text).data.to_dict()
    return head


def _check_names(args: argparse.Namespace) -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(args.repo)
    except HFValidationError as error:
        raise HubError(f"--repo {args.repo!r}: {error}") from error
    if args.repo.count("/") != 1:
        raise HubError(f"--repo {args.repo!r}: give the owner, too, as in org/{args.repo}.")
    if not args.source.is_dir():
        raise HubError(f"{args.source} is not a folder.")
    if args.full and args.kind != "checkpoint":
        raise HubError("--full is for checkpoints alone.")
    if args.to is not None and args.to.exists() and (not args.to.is_dir() or any(args.to.iterdir())):
        raise HubError(f"{args.to} is there already and not empty. Choose another folder, or remove it.")


def _beside(target: Path | None) -> str | None:
    """A place on the target's own disk, so that the finished folder moves there at once."""
    if target is None:
        return None
    parent = target.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    return str(parent)


def _show(folder: Path) -> None:
    files = files_of(folder)
    sizes = [path.stat().st_size for path in files]
    for path, size in zip(files, sizes, strict=True):
        print(f"{size:>14,}  {path.relative_to(folder).as_posix()}")
    print(f"{sum(sizes):>14,}  bytes in {len(files)} files")
