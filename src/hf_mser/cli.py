"""The `mser` command.

Exit status: 0 all went well, 1 some inputs failed, 2 the command was used wrongly.
"""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .disk import REFUSALS, refusal
from .errors import MSERError

SUBCOMMANDS = (
    "commands.predict",
    "commands.adapt",
    "commands.export",
    "corpora.cli",
    "demo.cli",
    "evaluation.cli",
    "training.cli",
    "m5ser.cli",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mser` with the given arguments (those of the process by default) and return its exit status.

    Example:
        >>> main(["predict", "examples/clips/de_angry.flac", "--format", "csv", "--output", os.devnull])
        0
    """
    parser = argparse.ArgumentParser(prog="mser", description="Speech emotion recognition in any language.")
    parser.add_argument("--debug", action="store_true", help="show the whole stack trace of an error")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in SUBCOMMANDS:
        importlib.import_module(f".{name}", __package__).add_subcommand(subparsers)
    arguments, rest = parser.parse_known_args(argv)
    many = getattr(arguments, "many", None)
    if many is not None and not any(word.startswith("-") and word != "-" for word in rest):
        getattr(arguments, many).extend(rest)  # argparse gives up on a list that an option interrupts
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        status = arguments.run(arguments) or 0
        sys.stdout.flush()  # what the reader or the disk has against it is said now, not while Python ends
        return status
    except MSERError as error:
        if arguments.debug:
            raise
        print(f"mser: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if arguments.debug or error.name is None or error.name.startswith("hf_mser"):
            raise
        print(f"mser: this needs {error.name}. Install it with: pip install 'hf-mser[train,eval]'", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _drop_output()  # the reader left: nothing more to say
        return 0
    except OSError as error:
        if arguments.debug or error.errno not in REFUSALS:
            raise
        _drop_output()
        print(f"mser: {refusal(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _drop_output() -> None:
    """Python flushes standard output at its end: what is left goes nowhere, instead of failing again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"mser: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
