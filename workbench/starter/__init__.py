"""What `workbench init` writes: a project's settings, code and tests, drafted from data or a config file."""
