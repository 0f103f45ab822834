"""The definition side: what the cloud sees. It may import the SageMaker SDK (lazily) and never imports torch."""
