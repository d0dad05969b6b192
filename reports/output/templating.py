"""The settings that all templates of a report share."""

from __future__ import annotations

from typing import Any

import jinja2


def template_environment(**settings: Any) -> jinja2.Environment:
    """Return an environment for the templates of this package. A name that is not defined is an error.

    Args:
        settings: how values are escaped: `autoescape` for HTML, or a `finalize` function.
    """
    return jinja2.Environment(  # noqa: S701 - each caller says how values are escaped
        loader=jinja2.PackageLoader("reports.output"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **settings,
    )
