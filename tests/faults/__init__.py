"""The campaign of faults: real executions that are killed, starved and damaged, by seed (`make faults`)."""
