"""What is computed: network and forward model."""

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
            "Neighbouring patterns that the network sees together, per side of their group: "
            "1 is single-shot, 2 makes groups of four.",
            minimum=1,
            maximum=LARGEST_GRIDSIZE,
        ),
    )
    n_filters_scale: int = attrs.field(
        default=2,
        metadata=about(
            "Width of the network: multiplies the number of filters in its layers. "
            "More is slower and can fit finer detail.",
            minimum=1,
            maximum=4,
        ),
    )
    model_type: ModelType = attrs.field(
        default="pinn",
        metadata=about(
            "How the network learns: 'pinn' from the measured patterns alone through the physics, "
            "'supervised' from known object patches.",
        ),
    )
    architecture: str = attrs.field(
        default="cnn",
        metadata=about(
            "Network to use, by its name in the backend: 'unrolled' alternates physical update "
            "steps with learned corrections, 'cnn' is an encoder with two decoders.",
        ),
    )
    amp_activation: AmplitudeActivation = attrs.field(
        default="sigmoid",
        metadata=about(
            "Last function of the amplitude decoder of 'cnn', scaled or shifted so that zero gives "
            "unit amplitude; 'sigmoid' spans 0..2."
        ),
    )
    object_big: bool = attrs.field(
        default=True,
        metadata=about(
            "Overlap constraint: merge the patches of neighbouring patterns on one canvas before "
            "diffraction, so that they must agree.",
            legacy="object.big",
        ),
    )
    joint_stages: bool = attrs.field(
        default=False,
        metadata=about(
            "Patterns that go through 'unrolled' together agree between its stages too: better "
            "from few bright patterns of samples not trained on. Results depend a little on which "
            "go together.",
            legacy=None,
        ),
    )
    probe_big: bool = attrs.field(
        default=True,
        metadata=about(
            "With --pad-object: decode the outer part of each patch too, at low resolution. "
            "Wanted where the probe reaches the rim of the patch.",
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
            "Kept for older callers and without effect: the probe is used at unit power here.",
            above=0,
        ),
    )
    gaussian_smoothing_sigma: float = attrs.field(
        default=0.0,
        metadata=about(
            "Standard deviation, in pixels, of a Gaussian that smooths the wave behind the "
            "sample; 0 switches it off.",
            minimum=0,
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields."""
        validate(self)

    @property
    def channels(self) -> int:
        """Patterns per group, ``gridsize**2``: the only place that says how many channels."""
        return self.gridsize**2
