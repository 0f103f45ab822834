"""What the answering and the command that starts it agree on. Standard library only: neither imports the other."""

MAX_NEW_TOKENS = 256  # of an answer, where nothing else is asked for
NOTE = "\x1e"  # with `--notes-among-words`: begins a line that is no part of the answer
