"""KQL on Spark: the SQL that DuckDB would run, written for Spark.

What Spark has with exactly the same meaning (scans, joins, groups, windows, orders, comparisons, arithmetic)
it does itself. An expression that it lacks is computed by DuckDB, batch by batch, in Spark's Python workers:
so there is one definition of each function of KQL, and both sizes give the same answers. What neither way
can be done is refused by name and position.
"""
