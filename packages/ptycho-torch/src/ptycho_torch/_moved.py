"""Names of earlier versions of this package that went elsewhere; see docs/migration.md."""

from ptycho_config.moved import MovedNames

__all__ = ["MOVED"]

_CONFIG = ("ptycho_config.ModelConfig", "ptycho_config.TrainingConfig")
_COMPONENTS = "ptycho_torch.workflows.components"

MOVED = MovedNames(
    renamed={
        f"ptycho_torch.config_params.{name}": f"ptycho_config.{name}"
        for name in ("InferenceConfig", "ModelConfig", "TrainingConfig", "update_legacy_dict")
    },
    gone={
        "ptycho_torch.api": ("ptycho_core.train", "ptycho_core.reconstruct"),
        "ptycho_torch.cli": ("ptycho_torch.entry",),
        "ptycho_torch.config_bridge": ("ptycho_config.update_legacy_dict",),
        "ptycho_torch.config_params.DataConfig": _CONFIG,
        "ptycho_torch.config_params.DatagenConfig": ("ptycho_core.SimulationParts",),
        "ptycho_torch.config_params.update_existing_config": ("ptycho_config.resolve_training",),
        "ptycho_torch.data_container_bridge": ("ptycho.loader.DataContainer", "ptycho_data.Scan"),
        "ptycho_torch.datagen": ("ptycho_core.simulate_scan",),
        "ptycho_torch.dataloader": ("ptycho_torch.data.ScanDataModule", "ptycho_data.load_scan"),
        "ptycho_torch.dset_loader_pt_mmap": ("ptycho_data.load_scan",),
        "ptycho_torch.eval": ("ptycho_core.evaluate", "ptycho_physics.metrics"),
        "ptycho_torch.generators": ("ptycho_torch.networks",),
        "ptycho_torch.helper": ("ptycho_physics.extract_patches", "ptycho_physics.merge_patches"),
        "ptycho_torch.inference.load_and_predict": ("ptycho_core.reconstruct",),
        "ptycho_torch.inference.save_individual_reconstructions": ("ptycho_data.write_pictures",),
        "ptycho_torch.lightning_utils": ("ptycho_torch.fitting",),
        "ptycho_torch.memmap_bridge": ("ptycho_data.load_scan",),
        "ptycho_torch.model.Autoencoder": ("ptycho_torch.networks.cnn.CNN",),
        "ptycho_torch.model.CombineComplex": ("ptycho_torch.networks.cnn.CNN",),
        "ptycho_torch.model.ForwardModel": ("ptycho_torch.model.PtychoModel",),
        "ptycho_torch.model.MAELoss": ("ptycho_physics.amplitude_mae",),
        "ptycho_torch.model.PoissonIntensityLayer": (
            "ptycho_physics.poisson_nll",
            "ptycho_physics.poisson_deviance",
        ),
        "ptycho_torch.model.PoissonLoss": ("ptycho_physics.poisson_deviance",),
        "ptycho_torch.model.ProbeIllumination": ("ptycho_torch.illumination.Illumination",),
        "ptycho_torch.model.PtychoPINN": ("ptycho_torch.model.PtychoModel",),
        "ptycho_torch.model.PtychoPINN_Lightning": ("ptycho_torch.module.PtychoModule",),
        "ptycho_torch.model.Ptycho_Supervised": ("ptycho_torch.model.PtychoModel",),
        "ptycho_torch.patch_generator": ("ptycho_data.group_positions",),
        "ptycho_torch.raw_data_bridge": ("ptycho.raw_data.RawData",),
        "ptycho_torch.reassembly": ("ptycho_torch.reconstruction.reconstruct",),
        "ptycho_torch.schedulers": ("ptycho_core.schedules",),
        "ptycho_torch.train_utils": ("ptycho_torch.fitting",),
        "ptycho_torch.trials": ("ptycho_core.train",),
        f"{_COMPONENTS}.PtychoLightningDataset": ("ptycho_torch.data.ScansDataset",),
        f"{_COMPONENTS}._build_inference_dataloader": ("ptycho_torch.loading.read",),
        f"{_COMPONENTS}._build_lightning_dataloaders": ("ptycho_torch.data.ScanDataModule",),
        f"{_COMPONENTS}._reassemble_cdi_image_torch": ("ptycho_torch.reconstruction.reconstruct",),
        f"{_COMPONENTS}._train_with_lightning": ("ptycho_torch.training.train",),
    },
)
