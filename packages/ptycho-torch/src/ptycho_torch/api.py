"""Historical module, replaced by `ptycho_core.train` and `ptycho_core.reconstruct`."""

raise ImportError(
    "ptycho_torch.api is gone: use ptycho_torch.train(scan, ...) and "
    "ptycho_torch.reconstruct(model, scan, ...), see docs/migration.md"
)
