"""Types of values: their forms, conversions, comparisons and arithmetic."""
