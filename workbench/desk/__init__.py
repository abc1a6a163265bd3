"""What the terminal UI asks of the rooms, as frozen snapshots; commands that show the same share it."""
