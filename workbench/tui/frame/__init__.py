"""What every screen has: title line, footer, help, dialogs, and the way to ask for what it shows."""
