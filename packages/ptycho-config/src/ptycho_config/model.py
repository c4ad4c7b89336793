"""Configuration of network and forward model."""

from typing import ClassVar

import attrs

from ptycho_config.checks import validate
from ptycho_config.options import about, documented
from ptycho_config.types import AmplitudeActivation, ModelType

LARGEST_GRIDSIZE = 5


@documented
@attrs.frozen(kw_only=True)
class ModelConfig:
    """Network and forward model: everything that must be the same at training and inference.

    Raises
    ------
    ConfigError
        With every violation, each naming field, rule and received value.
    """

    GROUP: ClassVar[str] = "Model"

    N: int = attrs.field(
        default=64,
        metadata=about(
            "Side of a diffraction pattern and of an object patch, in pixels.",
            choices=(64, 128, 256),
        ),
    )
    gridsize: int = attrs.field(
        default=1,
        metadata=about(
            "Square root of the number of neighbouring patterns per group, the input of the "
            "network: 1 reconstructs each pattern alone, 2 takes groups of four.",
            minimum=1,
            maximum=LARGEST_GRIDSIZE,
        ),
    )
    n_filters_scale: int = attrs.field(
        default=2,
        metadata=about(
            "Factor on the number of filters per layer. A wider network is slower but can "
            "represent finer detail.",
            minimum=1,
            maximum=4,
        ),
    )
    model_type: ModelType = attrs.field(
        default="pinn",
        metadata=about(
            "Training mode: 'pinn' compares predicted and measured patterns through the forward "
            "model, 'supervised' compares predicted and known object patches.",
        ),
    )
    architecture: str = attrs.field(
        default="unrolled",
        metadata=about(
            "Network: 'unrolled' alternates physics steps with learned corrections; 'guided' too, "
            "after a few epochs of the solver; 'cnn' is one encoder with two decoders; or another "
            "one by name or module:Class.",
            class_allowed=True,
        ),
    )
    amp_activation: AmplitudeActivation = attrs.field(
        default="sigmoid",
        metadata=about(
            "Output activation of the amplitude decoder of 'cnn', scaled or shifted so that an "
            "input of zero gives unit amplitude; 'sigmoid' covers the range 0 to 2."
        ),
    )
    object_big: bool = attrs.field(
        default=True,
        metadata=about(
            "Overlap constraint: merge the patches of neighbouring patterns on a common canvas "
            "before the forward model, which makes them consistent where they overlap.",
            legacy="object.big",
        ),
    )
    joint_stages: bool = attrs.field(
        default=False,
        metadata=about(
            "Merge the patches of a batch between the stages of the network too. Better from few "
            "bright patterns of samples outside the training set; results depend slightly on "
            "the composition of the batch.",
            legacy=None,
        ),
    )
    probe_big: bool = attrs.field(
        default=True,
        metadata=about(
            "With --pad-object: also decode the outer part of each patch, at low resolution. "
            "Needed if the probe extends to the edge of the patch.",
            legacy="probe.big",
        ),
    )
    probe_mask: bool = attrs.field(
        default=False,
        metadata=about("Set the probe to zero outside a centred circle.", legacy="probe.mask"),
    )
    pad_object: bool = attrs.field(
        default=True,
        metadata=about(
            "Decode only the central N/2 x N/2 pixels of each patch at full resolution."
        ),
    )
    probe_scale: float = attrs.field(
        default=4.0,
        metadata=about(
            "No effect: the probe is always normalised to unit power. Accepted for compatibility.",
            above=0,
        ),
    )
    gaussian_smoothing_sigma: float = attrs.field(
        default=0.0,
        metadata=about(
            "Standard deviation, in pixels, of a Gaussian filter on the exit wave; 0 disables it.",
            minimum=0,
            maximum=256,
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields."""
        validate(self)

    @property
    def channels(self) -> int:
        """Patterns per group, ``gridsize**2``: the number of channels of the network."""
        return self.gridsize**2
