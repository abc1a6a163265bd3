"""Widgets that every screen of the terminal UI is made of."""
