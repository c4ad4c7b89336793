"""The TensorFlow namespace: like NumPy's where it has a function, an error where it has none."""

import array_api_compat.numpy as reference
import numpy as np
import pytest
import tensorflow as tf
from ptycho_tf import namespace as xp

REAL = np.array([[0.3, -1.7, 2.2], [1.1, 0.4, -0.6]])
POSITIVE = np.abs(REAL)
FIELD = REAL + 1j * REAL[:, ::-1]
LOGICAL = REAL > 0
LAST = {"axes": (-2, -1)}

CALLS = {
    "abs": (FIELD,),
    "astype": (REAL, "complex128"),
    "broadcast_to": (REAL, (4, 2, 3)),
    "concat": ([REAL, 2 * REAL],),
    "conj": (FIELD,),
    "cos": (REAL,),
    "exp": (FIELD,),
    "floor": (REAL,),
    "imag": (FIELD,),
    "log": (POSITIVE,),
    "matmul": (FIELD, FIELD.T.copy()),
    "matrix_transpose": (FIELD,),
    "maximum": (REAL, POSITIVE / 2),
    "minimum": (REAL, POSITIVE / 2),
    "ones_like": (FIELD,),
    "real": (FIELD,),
    "reshape": (REAL, (3, -1)),
    "sign": (FIELD,),
    "sin": (REAL,),
    "sqrt": (POSITIVE,),
    "stack": ([REAL, 2 * REAL],),
    "where": (LOGICAL, REAL, POSITIVE),
    "zeros_like": (FIELD,),
}
WITH_OPTIONS = [
    ("argmax", (REAL[0],), {}),
    ("argmax", (REAL,), {"axis": -1}),
    ("clip", (REAL,), {"min": 0}),
    ("clip", (REAL,), {"max": 0.5}),
    ("concat", ([FIELD, FIELD],), {"axis": -1}),
    ("expand_dims", (REAL,), {"axis": -2}),
    ("flip", (FIELD,), {"axis": -2}),
    ("matmul", (REAL, np.stack([REAL.T, 2 * REAL.T])), {}),
    ("matmul", (np.stack([REAL, 2 * REAL]), REAL.T.copy()), {}),
    ("max", (REAL,), {"axis": 0}),
    ("mean", (FIELD,), {"axis": (-2, -1)}),
    ("min", (REAL,), {}),
    ("permute_dims", (REAL[None],), {"axes": (2, 0, 1)}),
    ("roll", (FIELD, 1), {"axis": -1}),
    ("stack", ([REAL, REAL],), {"axis": -1}),
    ("sum", (FIELD,), {"axis": -1, "keepdims": True}),
]
MADE = [
    ("arange", (4,), {}),
    ("arange", (1, 7, 2), {}),
    ("ones", ((2, 3),), {"dtype": "complex64"}),
    ("zeros", ((2, 3),), {"dtype": "float64"}),
]


def arguments(library, values):
    """Arrays become the library's, names of dtypes its dtypes."""
    if isinstance(values, np.ndarray):
        return tf.constant(values) if library is xp else values
    if isinstance(values, list):
        return [arguments(library, value) for value in values]
    if isinstance(values, str):
        return getattr(library, values)
    return values


def both(name, values, options):
    for library in (xp, reference):
        parts = [arguments(library, value) for value in values]
        more = {key: arguments(library, value) for key, value in options.items()}
        yield getattr(library, name)(*parts, **more)


@pytest.mark.parametrize(
    ("name", "values", "options"),
    [(name, values, {}) for name, values in CALLS.items()] + WITH_OPTIONS + MADE,
)
def test_is_like_numpy(name, values, options):
    found, expected = both(name, values, options)
    assert found.dtype.name == expected.dtype.name
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


def test_every_function_is_compared():
    compared = set(CALLS) | {name for name, *_ in (*WITH_OPTIONS, *MADE)}
    apart = {"asarray", "beyond", "fft", "isdtype", "take", "tf"}
    dtypes = {"bool", "int32", "int64", "float32", "float64", "complex64", "complex128", "pi"}
    public = {name for name in vars(xp) if not name.startswith("_")} - {"Any", "SimpleNamespace"}
    assert public - dtypes - apart - {"Tensor"} == compared


@pytest.mark.parametrize("shape", [(4, 6), (2, 5, 7)])
@pytest.mark.parametrize("name", ["fftn", "ifftn", "fftshift", "ifftshift"])
def test_transforms_are_numpys(name, shape):
    field = np.random.default_rng(0).normal(size=shape) * (1 + 2j)
    options = LAST if "shift" in name else {**LAST, "norm": "ortho"}
    found = getattr(xp.fft, name)(tf.constant(field), **options)
    np.testing.assert_allclose(
        found.numpy(), getattr(reference.fft, name)(field, **options), atol=1e-12
    )


def test_transforms_of_other_axes_or_norms_are_refused():
    field = tf.constant(FIELD)
    with pytest.raises(ValueError, match=r"axes=\(-2, -1\) and norm='ortho' expected"):
        xp.fft.fftn(field, axes=(0,), norm="ortho")
    with pytest.raises(ValueError, match="norm='ortho' expected"):
        xp.fft.fftn(field, axes=(-2, -1), norm="backward")


@pytest.mark.parametrize(
    "kind", ["bool", "integral", "real floating", "complex floating", "numeric"]
)
@pytest.mark.parametrize(
    "dtype", ["bool", "int64", "float32", "float64", "complex64", "complex128"]
)
def test_kinds_of_dtypes(dtype, kind):
    assert xp.isdtype(getattr(xp, dtype), kind) == reference.isdtype(np.dtype(dtype), kind)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="isdtype: kind must be one of"):
        xp.isdtype(xp.float32, "floating")


@pytest.mark.parametrize("name", ["cumsum", "einsum", "linalg", "float16", "asarrays"])
def test_what_is_not_there_is_an_error_that_says_so(name):
    with pytest.raises(AttributeError, match=f"namespace of ptycho_tf has no '{name}'; add it"):
        getattr(xp, name)


def test_a_complex_tensor_does_not_become_real():
    with pytest.raises(TypeError, match=r"complex128 cannot become float64; take xp\.real"):
        xp.astype(tf.constant(FIELD), xp.float64)


def test_asarray_keeps_the_gradient_and_takes_a_dtype():
    leaf = tf.Variable(REAL)
    with tf.GradientTape() as tape:
        total = xp.sum(xp.real(xp.asarray(leaf, dtype=xp.complex128)))
    np.testing.assert_array_equal(tape.gradient(total, leaf).numpy(), np.ones_like(REAL))


def test_casting_to_complex_warns_of_nothing(caplog):
    leaf = tf.Variable(REAL)
    with tf.GradientTape() as tape:
        field = xp.astype(leaf, xp.complex64) * (1 + 2j)
        total = xp.sum(xp.real(field) + 3 * xp.imag(field))
    np.testing.assert_allclose(tape.gradient(total, leaf).numpy(), np.full_like(REAL, 7), rtol=1e-6)
    assert not caplog.records


def test_take_and_scatter_add_are_adjoint():
    index = np.array([3, 0, 3, 1])
    flat, values = np.arange(5) * (1 + 1j), np.arange(1, 5) * (2 - 1j)
    taken = xp.take(tf.constant(flat), tf.constant(index), axis=0).numpy()
    added = xp.beyond.scatter_add(
        tf.zeros(5, tf.complex128), tf.constant(index), tf.constant(values)
    ).numpy()
    np.testing.assert_array_equal(taken, flat[index])
    assert np.vdot(values, taken) == np.vdot(added, flat)


def test_one_unknown_size_may_be_given_as_its_shape_has_it():
    @tf.function(input_signature=[tf.TensorSpec((None, 6))])
    def halves(x):
        return xp.reshape(x, (x.shape[0], 2, 3))

    assert halves(tf.zeros((5, 6))).shape == (5, 2, 3)
    with pytest.raises(ValueError, match="at most one unknown size"):
        xp.reshape(tf.zeros((4, 6)), (None, None, 2))


def test_real_and_complex_do_not_mix():
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        tf.constant(FIELD) * tf.constant(REAL)


def test_runs_under_xla():
    @tf.function(jit_compile=True)
    def power(field):
        return xp.sum(xp.abs(xp.fft.fftn(field, axes=(-2, -1), norm="ortho")) ** 2)

    np.testing.assert_allclose(power(tf.constant(FIELD)), np.sum(np.abs(FIELD) ** 2), rtol=1e-12)
