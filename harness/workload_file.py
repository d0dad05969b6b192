"""Finding and reading a workload file: the user's, or one that is shipped with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from harness.errors import WorkloadError
from harness.workload_source import suggest

_MAX_BYTES = 1 << 20


def read_text(path: Path) -> tuple[str, bool]:
    """The file's text, and whether it is a shipped one. A file that is here goes before a shipped one.

    Raises:
        WorkloadError: there is no such file, or it is no text.
    """
    shipped = _shipped(path)
    if shipped is not None and not _is_file(path):
        return shipped, True
    try:
        with path.open("rb") as file:
            return _decode(path, file.read(_MAX_BYTES + 1)), False
    except FileNotFoundError:
        name = path.name.removesuffix(".yaml")
        hint = suggest(name, list(shipped_workloads())).replace("Valid:", "Shipped with the package:")
        raise WorkloadError(f"there is no workload file {path}{hint}") from None
    except IsADirectoryError:
        raise WorkloadError(f"{path} is a folder; name a workload file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkloadError(f"workload file {str(path)!r} cannot be read: {reason}") from error


def shipped_workloads() -> dict[str, str]:
    """Name -> text of the workload files that come with the package."""
    entries = [entry for entry in resources.files("workloads").iterdir() if entry.name.endswith(".yaml")]
    entries.sort(key=lambda entry: entry.name)
    return {entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8") for entry in entries}


def _decode(path: Path, content: bytes) -> str:
    if len(content) > _MAX_BYTES:
        raise WorkloadError(f"{path} is larger than {_MAX_BYTES >> 20} MiB: not a workload file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WorkloadError(f"{path} is not text (UTF-8): not a workload file") from None


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False


def _shipped(path: Path) -> str | None:
    """The shipped file that `digits`, `digits.yaml` or `workloads/digits.yaml` means."""
    if path.parent not in (Path(), Path("workloads")):
        return None
    return shipped_workloads().get(path.name.removesuffix(".yaml"))
