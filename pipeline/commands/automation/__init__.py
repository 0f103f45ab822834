"""The commands that let the pipeline start without a person: schedules and triggers."""
