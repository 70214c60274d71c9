"""From the relational form to SQL."""
