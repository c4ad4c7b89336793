"""The examples in the docstrings are run."""

import doctest
import importlib
import pkgutil

import ptycho_config
import pytest

MODULES = [
    module.name
    for module in pkgutil.walk_packages(ptycho_config.__path__, f"{ptycho_config.__name__}.")
]
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
    first = {"from_dict", "resolve_training", "to_dict"}
    assert first <= documented
