"""Historical module: `ptycho_core.train` and `ptycho_core.reconstruct` took its place."""

raise ImportError(
    "ptycho_torch.api is gone: use ptycho_torch.train(scan, ...) and "
    "ptycho_torch.reconstruct(model, scan, ...), see docs/migration.md"
)
