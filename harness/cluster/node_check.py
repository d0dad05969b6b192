"""Requirements of a node before a sweep starts: the driver's versions and code, the data, and the same storage folder.

Nothing here needs Ray: `harness.cluster.inspection` runs it on every node.
"""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import Infeasible, StorageError
from harness.package import DISTRIBUTION, code_digest, version_of

if TYPE_CHECKING:
    from workloads.datasets.spec import DatasetSpec

COMPARED = ("torch", "ray", "mlflow")
_SHOWN = 3
"""Maximum nodes that a message names; it counts the others."""


@dataclass(frozen=True, kw_only=True)
class NodeCheckRequest:
    """The question to every node."""

    storage: Path
    """The sweep's folder."""
    token: str
    """Content of the file that the driver wrote there."""
    datasets: tuple[DatasetSpec, ...]
    """Data sets that the node must be able to load."""


@dataclass(frozen=True, kw_only=True)
class NodeCheckResult:
    """The answer of one node."""

    versions: Mapping[str, str | None]
    storage_fault: str | None
    absent: tuple[str, ...]
    """Messages on the data sets that this node cannot load."""
    python: str = sys.executable
    """Path of the interpreter that Ray's workers run there."""


def check_node(questions: NodeCheckRequest, node: str) -> NodeCheckResult:
    """Check the node that this runs on. Its file stays in the storage folder.

    Args:
        questions: the driver's request.
        node: Ray's id of the node, part of the file's name.
    """
    return NodeCheckResult(
        versions=versions(),
        storage_fault=_storage_fault(questions, node),
        absent=_absent(questions),
        python=sys.executable,
    )


def absences(datasets: Iterable[DatasetSpec]) -> tuple[str, ...]:
    """Return messages on the data sets that cannot be loaded here, without loading any."""
    return tuple(fault for dataset in datasets if (fault := dataset.absence()) is not None)


def _absent(questions: NodeCheckRequest) -> tuple[str, ...]:
    """Return the data sets that are absent. A node with other code may fail here: its version then explains why."""
    try:
        return absences(questions.datasets)
    except Exception as error:  # noqa: BLE001
        return (f"its data cannot be looked for: {type(error).__name__}: {error}",)


def versions() -> dict[str, str | None]:
    """Return every version that must be the same on all nodes; None for a package that is not installed."""
    return {
        "python": platform.python_version(),
        **{name: version_of(name) for name in COMPARED},
        DISTRIBUTION: f"{version_of(DISTRIBUTION) or 'not installed'}, code {code_digest()[:12]}",
    }


def driver_file(storage: Path) -> Path:
    """Return the file that the driver writes for the nodes."""
    return storage / ".preflight-driver"


def node_file(questions: NodeCheckRequest, node: str) -> Path:
    """Return the file that a node writes for the driver. Its name is always new, because NFS caches missing names."""
    return questions.storage / f".preflight-{questions.token}-{node}"


def raise_on_failures(
    answers: Mapping[str, NodeCheckResult], expected: Mapping[str, str | None], seen: Mapping[str, bool]
) -> None:
    """Compare every node's answer with the requirements.

    Args:
        answers: node name -> answer.
        expected: the driver's versions.
        seen: node name -> whether the driver sees the node's file.

    Raises:
        StorageError: a node lacks a data set, cannot write to the storage folder, or has another one.
        Infeasible: a node has other versions than the driver.
    """
    _raise(StorageError, [f"{name}: {fault}" for name, each in answers.items() if (fault := each.storage_fault)])
    _raise(
        StorageError,
        [
            f"{name}: the storage folder is not the one that the driver sees; --storage must be a shared one"
            for name in answers
            if not seen[name]
        ],
    )
    _raise(
        Infeasible,
        [
            f"{name}: Ray cannot start our workers by {each.python}, because it puts the path into a shell command as "
            "it is; start Ray there from an environment whose path has only letters, digits and . _ - /"
            for name, each in answers.items()
            if shlex.quote(each.python) != each.python
        ],
    )
    _raise(Infeasible, [f"{name}: {text}" for name, each in answers.items() if (text := _differs(each, expected))])
    _raise(
        StorageError,
        [
            f"{name}, as every node, must see the data at one path: {'; '.join(each.absent)}"
            for name, each in answers.items()
            if each.absent
        ],
    )


def _differs(answer: NodeCheckResult, expected: Mapping[str, str | None]) -> str:
    differences = [
        f"{name} is {answer.versions.get(name) or 'not installed'}, on the driver's node {version or 'not installed'}"
        for name, version in expected.items()
        if answer.versions.get(name) != version
    ]
    hint = "; give all nodes the same image, or submit with --pip"
    return ", ".join(differences) + hint if differences else ""


def _raise(kind: type[StorageError] | type[Infeasible], faults: Sequence[str]) -> None:
    if not faults:
        return
    more = f"\nand {len(faults) - _SHOWN} nodes more" if len(faults) > _SHOWN else ""
    raise kind("\n".join(f"node {fault}" for fault in faults[:_SHOWN]) + more)


def _storage_fault(questions: NodeCheckRequest, node: str) -> str | None:
    path = driver_file(questions.storage)
    try:
        same = path.read_text() == questions.token
    except OSError as error:
        return (
            f"storage folder {questions.storage} cannot be read ({error.strerror}); --storage must be a folder that "
            "every node sees at this path"
        )
    if not same:
        return f"storage folder {questions.storage} is not the one that the driver sees; --storage must be a shared one"
    try:
        node_file(questions, node).write_text(questions.token)
    except OSError as error:
        return f"storage folder {questions.storage} cannot be written: {error.strerror}"
    return None
