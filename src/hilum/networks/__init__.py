"""The networks that can be trained, by name (registry) and as tables (summary)."""
