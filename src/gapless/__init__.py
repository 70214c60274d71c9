"""Gapless: log collection that proves nothing is missing."""
