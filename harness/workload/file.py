"""Finding and reading a workload file: the user's own, or one that is shipped with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from harness.errors import WorkloadError
from harness.workload.source import show, suggest

MAX_BYTES = 1 << 20
"""Maximum bytes of a workload file. The longest shipped one has about 1,000."""
_OPEN_ALREADY = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Paths of files that this process inherited open, such as a shell's `<(...)`. They may be pipes."""
_NAME_CHARS = 300
"""Maximum characters of a file's name in a message."""


def read_text(path: Path) -> tuple[str, bool]:
    """Return a workload file's text, and whether it is a shipped one. The user's file has priority over a shipped one.

    Raises:
        WorkloadError: the file does not exist, or cannot be a workload file.
    """
    shipped = _shipped(path)
    if shipped is not None and not _is_file(path):
        return shipped, True
    try:
        return text_of(path, "workload file"), False
    except FileNotFoundError:
        name = path.name.removesuffix(".yaml")
        hint = suggest(name, list(shipped_workloads())).replace("Valid:", "Shipped with the package:")
        raise WorkloadError(f"there is no workload file {_spell(path)}{hint}") from None


def text_of(path: Path, kind: str) -> str:
    """Return the text of a file that a user named. Messages call it by its `kind`.

    Raises:
        FileNotFoundError: the file does not exist.
        WorkloadError: it is a folder, a device, a pipe, too large, no text, or cannot be read.
    """
    try:
        _check_what_it_is(path, kind)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkloadError(f"{kind} {show(str(path))} cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise WorkloadError(f"{_spell(path)} is larger than {MAX_BYTES >> 20} MiB: not a {kind}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WorkloadError(f"{_spell(path)} is not text (UTF-8): not a {kind}") from None


def shipped_workloads() -> dict[str, str]:
    """Return the workload files that come with the package: name -> text."""
    entries = [entry for entry in resources.files("workloads").iterdir() if entry.name.endswith(".yaml")]
    entries.sort(key=lambda entry: entry.name)
    return {entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8") for entry in entries}


def _check_what_it_is(path: Path, kind: str) -> None:
    """Refuse a folder, a device, and a pipe with a name, because reading these may never end."""
    if path.is_dir():
        raise WorkloadError(f"{_spell(path)} is a folder; name a {kind} in it")
    if path.exists() and not path.is_file() and not str(path).startswith(_OPEN_ALREADY):
        raise WorkloadError(f"{_spell(path)} is a pipe or a device, which may never end; name a {kind}")


def _spell(path: Path) -> str:
    """Return a name as the user wrote it, unless it does not fit a line of text."""
    name = str(path)
    return name if name.isprintable() and len(name) <= _NAME_CHARS else show(name)


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False


def _shipped(path: Path) -> str | None:
    """Return the shipped file that `digits`, `digits.yaml` or `workloads/digits.yaml` means."""
    if path.parent not in (Path(), Path("workloads")):
        return None
    return shipped_workloads().get(path.name.removesuffix(".yaml"))
