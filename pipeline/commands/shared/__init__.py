"""What several commands share: options, questions, AWS or this machine, and how a run is watched."""
