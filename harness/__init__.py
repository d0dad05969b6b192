"""The machine: from a workload file to MLflow."""

import os
import sys
from collections.abc import Iterable


def lies_in(folder: str) -> bool:
    """Return whether our packages lie in this folder, as they do in a checkout."""
    return os.path.realpath(folder) == os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120


def without_current_folder(entries: Iterable[str]) -> list[str]:
    """Return entries of a search path of modules without the current folder and that of the script.

    A user's `models/` or `json.py` there would be imported in place of the real one. The folder of our own packages
    stays. This runs before other imports, so it uses only modules that every Python has loaded.
    """
    folders = {os.path.realpath(os.curdir), os.path.dirname(os.path.realpath(sys.argv[0]))}  # noqa: PTH120
    return [entry for entry in entries if os.path.realpath(entry) not in folders or lies_in(entry)]
