"""Settings for applications: see `ptycho.config.config`."""
