"""Text to tokens, tokens to a syntax tree."""
