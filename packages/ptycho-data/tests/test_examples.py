"""The examples in the docstrings are run."""

import doctest
import importlib

import ptycho_data
import pytest

#: Modules of the public names: others may need what is not installed.
PUBLIC = [getattr(ptycho_data, name) for name in ptycho_data.__all__]
FOUND = {"ptycho_data.units"} | {getattr(item, "__module__", "") for item in PUBLIC}
MODULES = sorted(name for name in FOUND if name.startswith("ptycho_data"))
FINDER = doctest.DocTestFinder(exclude_empty=True)


def examples(name):
    module = importlib.import_module(name)
    return [test for test in FINDER.find(module) if test.examples]


@pytest.mark.parametrize("name", [name for name in MODULES if examples(name)])
def test_examples_of_docstrings(name):
    runner = doctest.DocTestRunner()
    for test in examples(name):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_what_a_user_calls_first_has_an_example():
    documented = {test.name.rpartition(".")[2] for name in MODULES for test in examples(name)}
    first = {"group_positions", "object_pixel", "scan_from_arrays", "validate"}
    assert first <= documented
