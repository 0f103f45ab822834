"""Figures while training: metric lines for CloudWatch, throughput, GPUs."""
