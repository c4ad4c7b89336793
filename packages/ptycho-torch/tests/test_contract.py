from ptycho_core.testing.backend_contract import BackendContract


class TestContract(BackendContract):
    backend = "pytorch"
