"""`mser export`: write a checkpoint as one ONNX file, with the processor and the labels beside it."""

import argparse
import sys
from typing import Any

from .predict import load_pipeline


def add_subcommand(subparsers: Any) -> None:
    """Describe the command to argparse."""
    parser = subparsers.add_parser("export", help="write a checkpoint as ONNX", description=__doc__)
    parser.add_argument("--model", help="checkpoint on the Hub or in a folder (default: the embedded mser-tiny)")
    parser.add_argument("--output", required=True, metavar="DIR", help="where model.onnx goes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export, and say where to."""
    from ..onnx_export import export_onnx

    pipe = load_pipeline(arguments.model)
    path = export_onnx(pipe.model, pipe.processor, arguments.output)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0
