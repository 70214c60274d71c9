"""KQL: text -> tokens -> syntax tree -> typed relational form -> SQL."""
