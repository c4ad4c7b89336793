"""Fine-tuning: a training that starts from the weights of a trained model.

The model may be of any backend and have seen any scan, but its network must be the one that is
trained. Its settings are the defaults of the training. A few epochs at a lower learning rate are
enough, because the network already knows the physics and most of what samples look like.
"""

from ptycho_config import Layer, ModelConfig, to_dict
from ptycho_config.errors import InvalidValueError
from ptycho_data import Bundle

from ptycho_core.networks import NetworkTraits

__all__ = ["EPOCHS", "RATE", "check_start", "start_layers"]

EPOCHS = 5
"""Number of epochs, unless another one is asked for."""

RATE = 0.25
"""Learning rate relative to the one that the network recommends for random weights."""

#: Settings that the weights depend on, and those of networks that are made for one size of pattern.
_ALWAYS = ("architecture", "n_filters_scale")
_SIZED = ("N", "gridsize", "pad_object", "probe_big", "amp_activation")
#: Settings of a trained model that a training which starts from it does not take over: the scan
#: decides N, and what is compared is a matter of the training.
_NOT_TAKEN = ("N", "model_type")


def start_layers(start: Bundle, name: str = "") -> list[Layer]:
    """Return the settings of a training that starts from a model, below those that the user gives.

    They are those of its network, and the number of epochs. A class ``module:Class`` is left out:
    only the user can have it imported.

    Parameters
    ----------
    start
        The trained model.
    name
        Its name in errors.
    """
    settings = to_dict(start.training_config.model)
    model = {key: value for key, value in settings.items() if key not in _NOT_TAKEN}
    if ":" in model["architecture"]:
        del model["architecture"]
    return [Layer("bundle", model, name), Layer("command default", {"nepochs": EPOCHS})]


def check_start(start: Bundle, model: ModelConfig, network: type[NetworkTraits]) -> None:
    """Refuse to start from a model of another network.

    Parameters
    ----------
    start
        The trained model.
    model
        The network to train.
    network
        Its class.

    Raises
    ------
    InvalidValueError
        Naming the first setting that differs.
    """
    trained = start.training_config.model
    for name in (*_ALWAYS, *(() if network.any_size else _SIZED)):
        before, now = getattr(trained, name), getattr(model, name)
        if before != now:
            rule = f"{before}, that of the model to start from"
            raise InvalidValueError(name, rule, str(now), _advice(name, before))


def _advice(name: str, before: object) -> str:
    if name == "N":
        return "that network is for one size of pattern; train without --from"
    return f"give --{name.replace('_', '-')} {before}, or train without --from"
