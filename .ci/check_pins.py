"""Do the pins of constraints.txt keep their word? Needs no network.

Every dependency that pyproject.toml names must be pinned, the pin must lie within the bounds that pyproject.toml
gives, and what is installed must be what is pinned: only then were the pinned versions tried together.
"""

import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
PACKAGE = "hf-mser"
UNPINNED = {"openai-whisper", "ray"}  # for one extra alone, which the tests do without


def read_pins(text: str) -> dict[str, str]:
    """`name==version` lines, comments aside."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    pairs = [line.split("==") for line in lines if line]
    return {canonicalize_name(name): pin for name, pin in pairs}


def problems(pins: dict[str, str], requirements: list[str], installed: dict[str, str]) -> list[str]:
    """What contradicts what, a sentence each."""
    found = []
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if name == PACKAGE or name in UNPINNED:
            continue
        if name not in pins:
            found.append(f"{name} is a dependency and has no pin: add it to constraints.txt.")
        elif not requirement.specifier.contains(pins[name], prereleases=True):
            found.append(
                f"{name}=={pins[name]} is outside of {requirement.specifier}: change pyproject.toml or the pin."
            )
    for name, pin in pins.items():
        if name in installed and installed[name].partition("+")[0] != pin:
            found.append(f"{name} {installed[name]} is installed and {pin} is pinned: install with -c constraints.txt.")
    return list(dict.fromkeys(found))


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    pins = read_pins(CONSTRAINTS.read_text(encoding="utf-8"))
    installed = {}
    for name in pins:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue  # of an extra that is not here
    found = problems(pins, requires(PACKAGE) or [], installed)
    print("\n".join(found) or f"{len(pins)} pins, {len(installed)} of them installed: all agree.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
