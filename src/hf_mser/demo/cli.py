"""`mser demo`: a page for the browser, on one's own machine."""

import argparse
from typing import Any

from ..errors import MSERError
from .limits import Limits

PORT = 7860


class MissingExtraError(MSERError, ImportError):
    """The page needs packages that are not installed."""


class PortError(MSERError, OSError):
    """The page cannot be served there."""


def add_subcommand(subparsers: Any) -> None:
    """Describe the command to argparse."""
    parser = subparsers.add_parser("demo", help="open a page for the browser", description=__doc__)
    parser.add_argument("--model", help="checkpoint on the Hub or in a folder (default: the embedded mser-tiny)")
    parser.add_argument("--port", type=int, default=PORT, metavar="P", help=f"where to serve it (default: {PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in (default: this one alone)")
    parser.add_argument("--max-minutes", type=float, default=Limits.minutes, metavar="M", help="longest clip")
    parser.add_argument("--max-megabytes", type=int, default=Limits.megabytes, metavar="M", help="largest file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    try:
        from .page import build_page, launch_page
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("hf_mser"):
            raise
        raise MissingExtraError(
            f"mser demo needs {error.name}. Install it with: pip install 'hf-mser[demo]'"
        ) from error
    from ..commands.predict import load_pipeline

    limits = Limits(megabytes=arguments.max_megabytes, minutes=arguments.max_minutes)
    page = build_page(load_pipeline(arguments.model), limits, arguments.model or "mser-tiny")
    try:
        launch_page(page, limits, server_name=arguments.host, server_port=arguments.port)
    except OSError as error:
        raise PortError(
            f"Port {arguments.port} of {arguments.host} is not free: choose another one with --port."
        ) from error
    return 0
