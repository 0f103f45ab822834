"""Translates files of TRL, axolotl and LLaMA-Factory into a recipe, and names every key that it cannot hold."""
