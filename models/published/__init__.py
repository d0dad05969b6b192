"""Published networks with their sizes and errors."""
