"""Benchmarks: what the figures of the README were measured with. ``python -m bench`` runs them all."""
