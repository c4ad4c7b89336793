import pytest
from ptycho_core.testing.backend_contract import BackendContract


@pytest.mark.usefixtures("tiny")
class TestContract(BackendContract):
    backend = "tensorflow"
    architecture = "tiny"
    importable = "tiny:Tiny"
