"""From the syntax tree to the relational form: names, types, schemas."""
