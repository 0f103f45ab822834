"""Commands, the pipeline definition, local runs. May import the SageMaker SDK (lazily), never imports torch."""
