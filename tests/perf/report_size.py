"""Cost of a report of many trials: seconds, memory and bytes of HTML, for 100, 1,000 and 10,000 trials.

    python -m tests.perf.report_size [TRIALS ...]

Each size runs in a process of its own. Time is that of writing the report from results in memory; the machine's load
is printed beside it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

SEEDS, EPOCHS = 5, 50
SHORTCUTS = ("plain", "A", "B", "C")


def one(trials: int) -> None:
    """Print trials, seconds, peak MiB, bytes of HTML and bytes in all."""
    from reports.claims.assessment import assess
    from reports.output.render import write_report
    from reports.testing.synthetic import synthetic_sweep

    depths = range(8, 8 + 6 * (trials // (SEEDS * len(SHORTCUTS))), 6)
    results = synthetic_sweep(depths=list(depths), shortcuts=SHORTCUTS, seeds=range(SEEDS), epochs=EPOCHS)
    before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        began, busy = time.perf_counter(), time.process_time()
        page = write_report(assess(results), Path(folder))
        took, used = time.perf_counter() - began, time.process_time() - busy
        html = page.stat().st_size
        total = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(results.trials):>6} trials: {took:6.1f} s ({used:6.1f} s of a processor, {1000 * used / trials:5.2f} ms "
        f"a trial), {html / 1e6:5.2f} MB of HTML, {total / 1e6:5.2f} MB in all, {peak_mib:5.0f} MiB at most "
        f"({before_mib:.0f} before)",
        flush=True,
    )


def main(sizes: list[int]) -> None:
    """Measure each size in turn."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; {EPOCHS} epochs, {SEEDS} seeds a cell")
    for trials in sizes:
        subprocess.run([sys.executable, "-m", "tests.perf.report_size", "--one", str(trials)], cwd=ROOT, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or [100, 1_000, 10_000])
