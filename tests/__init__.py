"""The tests. A package, so that helpers are imported by name from everywhere."""
