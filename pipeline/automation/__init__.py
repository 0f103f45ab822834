"""What starts an execution without a person: schedules and triggers, with EventBridge."""
