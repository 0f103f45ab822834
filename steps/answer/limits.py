"""How long an answer may become where nothing else is asked for."""

MAX_NEW_TOKENS = 256
