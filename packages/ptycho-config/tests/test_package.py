import json
import subprocess
import sys
from inspect import getdoc
from pathlib import Path

import ptycho_config

# Processor time, not wall time: other work on the machine is not our import.
PROBE = f"""
import sys, time
sys.path[:] = {sys.path!r}
before, start = set(sys.modules), time.process_time()
import ptycho_config
seconds = time.process_time() - start
loaded = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})
import json
print(json.dumps([seconds, loaded]))
"""
LAZY = {"difflib", "json", "logging", "tomllib"}  # of the standard library, loaded when needed


def import_afresh():
    """Import in a new interpreter: seconds, and the top-level modules it loaded."""
    command = [sys.executable, "-c", PROBE]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own code
    seconds, loaded = json.loads(result.stdout)
    return seconds, set(loaded)


def test_import_loads_nothing_but_attrs():
    _, loaded = import_afresh()
    assert loaded - set(sys.stdlib_module_names) == {"ptycho_config", "attr", "attrs"}
    assert not loaded & LAZY


def test_import_is_fast():
    # The quickest of several: a busy machine slows single runs down.
    assert any(import_afresh()[0] < 0.060 for _ in range(20))


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
