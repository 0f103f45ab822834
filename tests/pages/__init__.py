"""Pages in a headless Chromium."""
