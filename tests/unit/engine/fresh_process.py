"""Run one tiny trial in a fresh process and print its results, which must equal those of a warm process.

python -m tests.unit.engine.fresh_process
"""

import json
import tempfile
from pathlib import Path

import torch

from harness.engine import run_trial
from tests.unit.engine.conftest import Recording, timeless_results, tiny_trial

torch.set_num_interop_threads(3)  # may be set once in a process
recorded = Recording(Path(tempfile.mkdtemp()))
ended = run_trial(tiny_trial(seed=5), recorded.context)
print(json.dumps({"results": timeless_results(ended), "curves": recorded.curves()}))
