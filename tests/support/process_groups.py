"""The end of programs of tests that have several workers."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import torch.distributed as dist


def leave_process_group() -> NoReturn:
    """End a worker without the interpreter's end: in some runs a thread of torch is still there then, and aborts it."""
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)
