"""Files that stand outside of the package in a checkout and inside of it in a wheel: card templates, the licence."""

from pathlib import Path

from .errors import MSERError

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE / "resources", _PACKAGE.parents[1])


class ResourceNotFoundError(MSERError, FileNotFoundError):
    """A file that belongs to the package is missing."""


def resource(name: str) -> Path:
    """The path of a file such as `LICENSE` or `model_cards/model.md`.

    Example:
        >>> "Apache License" in resource("LICENSE").read_text(encoding="utf-8")
        True
    """
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    raise ResourceNotFoundError(f"The installation is incomplete: {name} is missing. Install hf_mser again.")
