"""The demo: a complete living project on real data."""
