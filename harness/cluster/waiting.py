"""Trials that wait, in order. Every operation takes the same time, however many there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.cluster.queue import Job, Shape

_Jobs = OrderedDict[str, "Job"]


class Waiting:
    """A line of jobs for each shape; in it, a line for each cell."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._of_shape: dict[Shape, _Jobs] = {}
        self._of_cell: dict[tuple[Shape, str], _Jobs] = {}
        self.count = 0
        for job in jobs:
            self._add(job, first=False)

    def take(self, shape: Shape, cell_id: str | None) -> Job | None:
        """The first job of a shape, unless one of this cell waits too: then that one."""
        line = (self._of_cell.get((shape, cell_id)) if cell_id else None) or self._of_shape.get(shape)
        return self._remove(next(iter(line.values()))) if line else None

    def put_back(self, job: Job, *, first: bool) -> None:
        """A job that was taken is the first of its shape and cell again, or the last."""
        self._add(job, first=first)

    def take_all(self, shape: Shape) -> list[Job]:
        """Every job of a shape."""
        return [self._remove(job) for job in list(self._of_shape.get(shape, {}).values())]

    def counts(self) -> dict[Shape, int]:
        """How many jobs of each shape wait, in the order in which the shapes first came."""
        return {shape: len(line) for shape, line in self._of_shape.items() if line}

    def _add(self, job: Job, *, first: bool) -> None:
        for line in self._lines(job):
            line[job.trial.id] = job
            if first:
                line.move_to_end(job.trial.id, last=False)
        self.count += 1

    def _remove(self, job: Job) -> Job:
        for line in self._lines(job):
            del line[job.trial.id]
        self.count -= 1
        return job

    def _lines(self, job: Job) -> tuple[_Jobs, _Jobs]:
        return (
            self._of_shape.setdefault(job.shape, OrderedDict()),
            self._of_cell.setdefault((job.shape, job.trial.cell_id), OrderedDict()),
        )
