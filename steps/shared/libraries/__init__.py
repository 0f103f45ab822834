"""How the training libraries are imported: without what they take along and no step uses."""
