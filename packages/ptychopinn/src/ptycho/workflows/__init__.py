"""Training and loading for applications: see `ptycho.workflows.components`."""
