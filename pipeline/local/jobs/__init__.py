"""Runs one job on this machine: its folders, its nodes, and the engine, processes or Docker."""
