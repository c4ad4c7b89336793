import pytest
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_tf.settings import check_inference, check_training


def test_good_settings_pass(training, execution):
    check_training(training({"architecture": "unrolled"}), execution())
    check_inference(execution())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"architecture": "resnet"}, "architecture"),
        ({"joint_stages": True, "architecture": "cnn"}, "joint_stages"),
    ],
)
def test_networks_that_do_not_exist_here_are_refused(training, execution, model, name):
    with pytest.raises(InvalidValueError) as refused:
        check_training(training(model), execution())
    assert refused.value.name == name


def test_several_devices_do_not_reconstruct():
    with pytest.raises(InvalidValueError) as refused:
        check_inference(PyTorchExecutionConfig(devices=2))
    assert refused.value.name == "devices"
