import sys
from importlib import import_module

import pytest
from ptycho_config.install import install_command
from ptycho_torch import _require


@pytest.mark.parametrize("use", ["Reconstructor", "workflows"])
def test_a_missing_framework_is_named_with_the_pip_command(monkeypatch, use):
    monkeypatch.setattr(_require, "find_spec", lambda _: None)
    for name in [name for name in sys.modules if name.startswith("ptycho_torch.workflows")]:
        monkeypatch.delitem(sys.modules, name)

    def first_use():
        if use == "workflows":
            import_module("ptycho_torch.workflows.components")
        return import_module("ptycho_torch").Reconstructor

    with pytest.raises(RuntimeError, match="needs torch and lightning") as caught:
        first_use()
    assert str(caught.value).endswith(install_command("ptycho-torch"))
