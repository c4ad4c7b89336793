import subprocess
import sys

import ptycho_data


def test_all_is_complete():  # its order is the linter's matter
    assert len(set(ptycho_data.__all__)) == len(ptycho_data.__all__)
    assert all(hasattr(ptycho_data, name) for name in ptycho_data.__all__)


def test_import_loads_no_framework():
    code = (
        "import sys, ptycho_data; "
        "heavy = {'torch', 'tensorflow', 'lightning', 'safetensors', 'matplotlib'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
