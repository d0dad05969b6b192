"""`python -m harness`."""

import sys

from harness import without_current_folder

sys.path[:] = without_current_folder(sys.path)

from harness.cli.main import main  # noqa: E402  by the cleaned search path

if __name__ == "__main__":
    sys.exit(main())
