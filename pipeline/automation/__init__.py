"""Schedules and triggers, with EventBridge: they start an execution without a person."""
