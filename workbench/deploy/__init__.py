"""Files that put a project to work elsewhere: containers, services, pipelines of CI, dashboards."""
