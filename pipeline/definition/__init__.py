"""Builds the pipeline definition from the settings; shows one as a tree and two as a diff."""
