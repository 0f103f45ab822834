"""MLflow and Weights & Biases: what is sent, when, and what happens when a tracker is down."""
