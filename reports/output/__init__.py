"""The files of a report, its short form on the terminal, and its texts."""
