"""The Champion step: the newest approved version, and the data's objects at this moment."""
