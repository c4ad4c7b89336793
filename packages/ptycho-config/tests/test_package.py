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
import attrs, pathlib
of_others = time.process_time() - start
import ptycho_config
seconds = time.process_time() - start
loaded = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})
import json
print(json.dumps([of_others, seconds, loaded]))
"""
LAZY = {"difflib", "json", "logging", "tomllib"}  # of the standard library, loaded when needed


def import_afresh():
    """Import in a new interpreter: seconds, of others and in all, and the modules it loaded."""
    command = [sys.executable, "-c", PROBE]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own code
    of_others, seconds, loaded = json.loads(result.stdout)
    return of_others, seconds, set(loaded)


def test_import_loads_nothing_but_attrs():
    *_, loaded = import_afresh()
    assert loaded - set(sys.stdlib_module_names) == {"ptycho_config", "attr", "attrs"}
    assert not loaded & LAZY


def test_import_is_fast():
    # 60 ms where attrs and pathlib, which we do not make, take 30; in the same proportion where a
    # slow or busy machine needs longer for them. The quickest of several.
    def fast(of_others, seconds, _):
        return seconds < 0.060 * max(1, of_others / 0.030)

    assert any(fast(*import_afresh()) for _ in range(20))


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
