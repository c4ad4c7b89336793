import subprocess
import sys
from inspect import getdoc
from pathlib import Path

import ptycho_config

PROBE = f"""
import sys
sys.path[:] = {sys.path!r}
before = set(sys.modules)
import attrs
import ptycho_config
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
"""
LAZY = {"difflib", "json", "logging", "tomllib"}  # of the standard library, loaded when needed


def test_import_loads_nothing_but_attrs():
    command = [sys.executable, "-c", PROBE]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own code
    loaded = set(result.stdout.split())
    assert loaded - set(sys.stdlib_module_names) == {"ptycho_config", "attr", "attrs"}
    assert not loaded & LAZY


def test_api_is_sorted_complete_and_documented():
    names = ptycho_config.__all__
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    rest = [name for name in names if not name[0].isupper()]
    assert names == sorted(constants) + sorted(classes) + sorted(rest)
    for name in [*classes, *rest]:
        assert getdoc(getattr(ptycho_config, name))


def test_package_is_typed():
    assert (Path(ptycho_config.__file__).parent / "py.typed").is_file()
