"""Run one trial on one worker group, with torch alone: neither Ray nor MLflow is imported.

`run_trial(trial, context)` runs one attempt; `attempt_trial` also turns errors into an outcome.
"""

from harness.engine.context import TrialContext
from harness.engine.run import attempt_trial, run_trial

__all__ = ["TrialContext", "attempt_trial", "run_trial"]
