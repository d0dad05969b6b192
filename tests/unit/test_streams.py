"""Streams whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys

from harness.streams import ForgivingStream


def test_a_reader_that_has_gone_ends_nothing_and_costs_no_exit_code() -> None:
    program = (
        "import os, sys; from harness.streams import ForgivingStream\n"
        "out = ForgivingStream(sys.stdout)\n"
        "for _ in range(3): out.write('nobody reads this\\n'); out.flush()\n"
        "print('nor this', flush=True)\n"
        "sys.stderr.write('the end')"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "the end")


def test_a_stream_that_is_read_gets_everything(capfd) -> None:
    stream = ForgivingStream(sys.stdout)
    assert stream.write("text\n") == 5
    stream.flush()
    assert capfd.readouterr().out == "text\n"
    assert stream.encoding == sys.stdout.encoding
