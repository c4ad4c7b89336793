"""Historical module, not needed because there is one set of configuration classes."""

raise ImportError(
    "ptycho_torch.config_bridge is gone: the configuration classes of ptycho_config and "
    "ptycho.config.config are accepted as they are; "
    "ptycho_config.update_legacy_dict writes the legacy dictionary"
)
