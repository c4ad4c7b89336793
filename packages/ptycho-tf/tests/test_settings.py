import pytest
from ptycho_config import PyTorchExecutionConfig
from ptycho_tf.settings import check_inference, check_training


def test_good_settings_pass(training, execution):
    check_training(training({"architecture": "unrolled"}), execution())
    check_inference(execution())


@pytest.mark.parametrize(
    ("model", "settings", "rule"),
    [
        ({"architecture": "resnet"}, {}, "architecture: one of cnn, unrolled"),
        (
            {"joint_stages": True, "architecture": "cnn"},
            {},
            "joint_stages: must be .* use unrolled",
        ),
        ({"architecture": "cnn"}, {"positions_trainable": True}, "positions_trainable: must be"),
    ],
)
def test_what_cannot_work_is_refused(training, execution, model, settings, rule):
    with pytest.raises(ValueError, match=rule):
        check_training(training(model, **settings), execution())
    with pytest.raises(ValueError, match="accelerator 'tpu'"):
        check_inference(PyTorchExecutionConfig(accelerator="tpu"))


def test_what_pytorch_alone_can_is_refused(training, execution):
    with pytest.raises(ValueError, match="scan: one expected with backend tensorflow, found 2; us"):
        check_training(training({"architecture": "cnn"}), execution(), 2)
    with pytest.raises(ValueError, match=r"devices: one expected to reconstruct .*, found 2; use"):
        check_inference(PyTorchExecutionConfig(devices=2))
