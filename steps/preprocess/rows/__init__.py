"""One row: its pair, messages and tools in canonical form, or the reason why not."""
