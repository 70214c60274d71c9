"""The relational form between KQL and SQL, and what is taken from it."""
