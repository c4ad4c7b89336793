"""Names of earlier versions of this package that went elsewhere; see docs/migration.md."""

from ptycho_config.moved import MovedNames

__all__ = ["MOVED"]

_COMPONENTS = "ptycho.workflows.components"

MOVED = MovedNames(
    renamed={
        "ptycho.loader.PtychoDataContainer": "ptycho.loader.DataContainer",
        f"{_COMPONENTS}.load_data": "ptycho.raw_data.RawData.from_file",
    },
    gone={
        "ptycho.baselines": ("ptycho_core.train",),
        "ptycho.cli_args": ("ptycho_cli.options",),
        "ptycho.custom_layers": ("ptycho_physics.illuminate", "ptycho_physics.expected_counts"),
        "ptycho.data_preprocessing": ("ptycho_data.load_scan",),
        "ptycho.diffsim": ("ptycho_physics.simulate_counts", "ptycho_core.simulate_scan"),
        "ptycho.evaluation": ("ptycho_core.evaluate", "ptycho_physics.metrics"),
        "ptycho.export": ("ptycho_data.write_results",),
        "ptycho.generate_data": ("ptycho_core.simulate_scan",),
        "ptycho.image": ("ptycho_physics.stitched_object", "ptycho_physics.metrics"),
        "ptycho.inference": ("ptycho_core.reconstruct",),
        "ptycho.losses": ("ptycho_core.losses", "ptycho_physics.losses"),
        "ptycho.model.create_model_with_gridsize": (
            "ptycho_torch.model_manager.create_torch_model_with_gridsize",
            "ptycho_tf.model",
        ),
        "ptycho.model_manager.ModelManager": (
            "ptycho.model_manager.save",
            f"{_COMPONENTS}.load_inference_bundle",
        ),
        "ptycho.nongrid_simulation": ("ptycho_core.simulate_scan",),
        "ptycho.physics": ("ptycho_physics.expected_counts", "ptycho_physics.simulate_counts"),
        "ptycho.train_pinn": ("ptycho_core.train",),
        "ptycho.train_supervised": ("ptycho_core.train",),
        "ptycho.visualization": ("ptycho_data.figures",),
        f"{_COMPONENTS}.create_ptycho_data_container": ("ptycho.loader.load",),
        f"{_COMPONENTS}.parse_arguments": ("ptycho_config.option_specs",),
        f"{_COMPONENTS}.reassemble_cdi_image": ("ptycho.tf_helper.reassemble_position",),
        f"{_COMPONENTS}.setup_configuration": ("ptycho_config.resolve_training",),
        f"{_COMPONENTS}.train_cdi_model": (f"{_COMPONENTS}.run_cdi_example",),
    },
)
