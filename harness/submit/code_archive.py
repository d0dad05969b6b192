"""The code archive that travels with a job: our own packages, as they are installed here."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.package import DISTRIBUTION, ORIGIN, code_files

MAX_BYTES = 50 * 2**20
"""Maximum size of the archive. Ray accepts 100 MB and answers a bare error 500 above that; ours is well under 1 MB."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every file in the archive. The same code then gives the same bytes, which Ray need not be sent twice."""


def write_code(archive: Path, origin: Mapping[str, Any]) -> None:
    """Write the packages to a zip file. The same code gives the same bytes, from any folder.

    Args:
        archive: the file to write.
        origin: the record of where the code came from.

    Raises:
        HarnessError: the packages contain something large.
    """
    content = {name: path.read_bytes() for name, path in code_files().items()}
    content[ORIGIN] = json.dumps(dict(origin), sort_keys=True).encode()
    content.update(_distribution_metadata())
    if (size := sum(map(len, content.values()))) > MAX_BYTES:
        largest = max(content, key=lambda name: len(content[name]))
        raise HarnessError(
            f"the packages to ship are {size / 2**20:.0f} MiB, at most {MAX_BYTES >> 20} are allowed; "
            f"the largest file is {largest}: it does not belong there"
        )
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content[name], zipfile.ZIP_DEFLATED)


def _distribution_metadata() -> dict[str, bytes]:
    """Return the metadata files that tell the code its version if it is not installed."""
    try:
        found = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return {}
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    return {f"{DISTRIBUTION.replace('-', '_')}-{found.version}.dist-info/METADATA": text.encode()} if text else {}
