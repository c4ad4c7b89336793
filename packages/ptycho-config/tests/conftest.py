"""Strategies made from the field descriptions: valid values, bad values, whole settings."""

from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from ptycho_config import (
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    option_specs,
)

settings.register_profile("ptycho", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ptycho")

# Relative paths as pathlib writes them, which are names too.
NAMES = st.from_regex(r"\A[a-z][a-z0-9_-]{0,9}(/[a-z0-9_]{1,4})?\Z")


class Hostile:
    """A value whose every way of being looked at raises."""

    def _fail(self, *_):
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __float__ = __index__ = _fail
    __fspath__ = __len__ = __iter__ = _fail
    shape = item = property(_fail)


JUNK = st.one_of(
    st.builds(object),
    st.builds(Hostile),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.binary(max_size=4),
    st.just(10**5000),
    st.just(float("nan")),
    st.complex_numbers(),
    st.tuples(),
)


def valid_values(spec):
    """Values that a field takes by itself."""
    if spec.choices:
        values = st.sampled_from(spec.choices)
    elif spec.type is bool:
        values = st.booleans()
    elif spec.type is int:
        values = st.integers(spec.minimum, min(spec.maximum or 10**6, 10**6))
    elif spec.type is float:
        low, high = spec.range
        values = st.floats(low, min(high, 1e12))
    else:
        values = NAMES
    return st.none() | values if spec.optional else values


def bad_values(spec):
    """Values that a field refuses: of a wrong type, out of bounds, no choice."""
    wrong = [JUNK]
    if not spec.optional:
        wrong.append(st.none())
    if spec.type is not Path:
        wrong.append(st.text().filter(lambda text: text not in spec.choices and " " in text))
    if spec.type is not bool and not (spec.type is int and spec.choices):
        wrong.append(st.booleans())
    if spec.type is bool or (spec.type is str):
        wrong += [st.integers(), st.floats()]
    if spec.type is Path:
        wrong += [st.integers(), st.floats(), st.just(""), st.just("a\0b")]
    if spec.type is int:
        wrong.append(st.floats())
        wrong.append(st.integers().filter(lambda value: not _inside(spec, value)))
    if spec.type is float:
        wrong.append(st.floats().filter(lambda value: not _inside(spec, value)))
        wrong.append(st.sampled_from([float("inf"), float("-inf"), -1, "1.0"]))
    return st.one_of(wrong)


def _inside(spec, value):
    if spec.choices:
        return value in spec.choices
    low, high = spec.range
    return low <= value <= high


@st.composite
def flat_settings(draw, cls):
    """Every field of `cls`, its model and the execution, flat, in agreement with each other."""
    specs = [s for part in (ModelConfig, cls, PyTorchExecutionConfig) for s in option_specs(part)]
    values = {spec.name: draw(valid_values(spec)) for spec in specs}
    values["neighbor_count"] = draw(st.integers(25, 99))
    values["num_workers"] = draw(st.integers(1, 9))
    if cls is TrainingConfig:
        values["nll_weight"] = draw(st.floats(0.5, 2))
        values["enable_oversampling"] &= values["gridsize"] > 1
        values["probe_trainable"] &= values["model_type"] == "pinn"
        values["positions_trainable"] &= values["model_type"] == "pinn" and values["object_big"]
        pool = st.none() | st.integers(25, 99)
        values["neighbor_pool_size"] = draw(pool) if values["enable_oversampling"] else None
    return values


@pytest.fixture(scope="session")
def valid():
    return valid_values


@pytest.fixture(scope="session")
def bad():
    return bad_values


@pytest.fixture(scope="session")
def whole():
    return flat_settings


@pytest.fixture(scope="session")
def zero_dim():
    """An array scalar as NumPy and PyTorch make them."""

    @attrs.frozen
    class ZeroDim:
        value: object
        shape: tuple = ()

        def item(self):
            return self.value

    return ZeroDim
