"""Needs of decoders: shared memory, file descriptors, and a folder for sockets."""

from __future__ import annotations

import os
import resource
import tempfile
from multiprocessing import process, util
from pathlib import Path

SHARED_MEMORY = "/dev/shm"  # noqa: S108  # where torch puts shared memory

OPEN = Path("/proc/self/fd")

MOST_DESCRIPTORS = 2**16
"""Limit above which the number of descriptors is not raised: some programs close every number up to it."""

OWN_DESCRIPTORS, DECODER_DESCRIPTORS = 48, 8
"""Descriptors that must be free: for the process itself, and for each of its decoders with the batches it prepares."""

MOST_SOCKET_CHARS = 107
OWN_FOLDER, SOCKET = "pymp-12345678", "/listener-12345678"
"""Names like those that multiprocessing makes."""

SHORT_FOLDERS = ("/tmp", "/var/tmp", SHARED_MEMORY)  # noqa: S108  # a folder of a random name is made there

MEMORY_ADVICE = "give it more (in a container: --shm-size=8g), or set fewer `decoders` or a smaller batch_size"


class DecoderError(RuntimeError):
    """Decoders that cannot start, that ended, or that do not answer."""


def check_memory(batch_bytes: int, batches: int) -> None:
    """Refuse to start decoders whose batches would not fit into shared memory.

    Raises:
        DecoderError: they would not.
    """
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError as error:
        raise DecoderError(
            f"decoders need {SHARED_MEMORY}, which cannot be used: {error.strerror}; mount it, or set `decoders: 0`"
        ) from error
    free = found.f_bavail * found.f_frsize
    if batches * batch_bytes > free:
        raise DecoderError(
            f"decoders need {_mib(batches * batch_bytes)} of shared memory for {batches} batches of "
            f"{_mib(batch_bytes)}, but {SHARED_MEMORY} has {_mib(free)} free; {MEMORY_ADVICE}"
        )


def check_descriptors(decoders: int) -> None:
    """Raise this process's limit of file descriptors, and refuse to start decoders if too few are left.

    Raises:
        DecoderError: too few are left.
    """
    limit = raise_descriptors()
    used = len(list(OPEN.iterdir())) if OPEN.is_dir() else 0
    needed = used + OWN_DESCRIPTORS + DECODER_DESCRIPTORS * decoders
    if needed > limit:
        raise DecoderError(
            f"{decoders} decoders need {needed - used} file descriptors, but this process has {used} open and may "
            f"open {limit}; raise the hard limit to {needed} or more (ulimit -n {needed}), or set fewer `decoders`"
        )


def raise_descriptors() -> int:
    """Raise the soft limit of file descriptors to the hard one, as far as is sensible, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some sandboxes forbid it
        return soft
    return wanted


def shorten_socket_paths() -> None:
    """Choose a short folder for the sockets of this process and its decoders if paths in TMPDIR would be too long."""
    config = process.current_process()._config  # type: ignore[attr-defined]  # noqa: SLF001  # no other way to choose it
    chosen = config.get("tempdir") or Path(tempfile.gettempdir(), OWN_FOLDER)
    if len(os.fsencode(chosen)) + len(SOCKET) <= MOST_SOCKET_CHARS:
        return
    short = next((folder for folder in SHORT_FOLDERS if os.access(folder, os.W_OK | os.X_OK)), None)
    if short is None:
        raise DecoderError(
            f"the folder {tempfile.gettempdir()} is too long for the sockets of decoders, and none of "
            f"{', '.join(SHORT_FOLDERS)} can be written; set TMPDIR to a folder of at most "
            f"{MOST_SOCKET_CHARS - len(f'/{OWN_FOLDER}{SOCKET}')} characters, or set `decoders: 0`"
        )
    usual, tempfile.tempdir = tempfile.tempdir, short
    try:
        config.pop("tempdir", None)
        util.get_temp_dir()  # kept for the process, and handed on to its children
    finally:
        tempfile.tempdir = usual


def _mib(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
