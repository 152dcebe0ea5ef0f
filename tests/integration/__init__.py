"""Integration tests: see run.py."""
