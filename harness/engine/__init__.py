"""One trial on one worker group: torch alone, neither ray nor mlflow.

`run_trial(trial, context)` is the whole of it; `attempt_trial` turns whatever goes wrong into an outcome.
"""

from harness.engine.context import TrialContext
from harness.engine.run import attempt_trial, run_trial

__all__ = ["TrialContext", "attempt_trial", "run_trial"]
