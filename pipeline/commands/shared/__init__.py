"""What several verbs share: options, questions, the place a verb acts on, and how a run is watched."""
