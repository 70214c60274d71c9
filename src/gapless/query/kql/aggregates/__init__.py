"""The aggregates of KQL, one module a family. ``registry`` has them all by name."""
