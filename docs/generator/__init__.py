"""Writes docs/reference from the code. One module a page; ``docs/generate.py`` puts them together."""
