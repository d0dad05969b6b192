"""Files of data sets: in a folder of this machine, or behind any URL that fsspec knows."""

from __future__ import annotations

import hashlib
import os


def located(root: str) -> str:
    """A root that stays the same wherever it is used: a URL as it is, a path made absolute."""
    return root if "://" in root else os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111  URLs are no paths


def digest_of(*parts: str) -> str:
    """64 hexadecimal digits from some texts, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
