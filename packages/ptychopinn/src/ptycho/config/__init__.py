"""Settings as an application holds them: see `ptycho.config.config`."""
