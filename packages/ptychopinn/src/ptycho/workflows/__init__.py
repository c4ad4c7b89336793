"""Training and loading as an application calls them: see `ptycho.workflows.components`."""
