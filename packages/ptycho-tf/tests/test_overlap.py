"""The native overlap is that of `ptycho_physics`, with gradients, for any canvas in one trace."""

import numpy as np
import pytest
from ptycho_physics import defocused_probe, extract_patches, merge_patches, probe_weight
from ptycho_tf.frameworks import tf
from ptycho_tf.overlap import GroupCanvases, Placement, place_apart

N = 8
SHAPE = (21, 26)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def positions(rng):
    low, high = N // 2, np.array(SHAPE[::-1]) - N + N // 2
    points = rng.uniform(low, high, (7, 2)).astype(np.float32)
    points[0], points[1] = (low, low), high  # the corners, where a block reaches over the edge
    return points


def complex_normal(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def test_it_is_the_one_of_the_physics(rng, positions):
    patches, canvas = complex_normal(rng, 7, N, N), complex_normal(rng, *SHAPE)
    place = Placement.of(tf.constant(positions), SHAPE, N)
    merged = place.merge(tf.constant(patches)).numpy().reshape(SHAPE)
    np.testing.assert_allclose(merged, merge_patches(patches, positions, SHAPE), atol=1e-5)
    cut = place.extract(tf.constant(canvas.ravel())).numpy()
    np.testing.assert_allclose(cut, extract_patches(canvas, positions, N), atol=1e-5)


def test_a_bright_pixel_is_found_where_it_was_put():
    place = Placement.of(tf.constant([[11.0, 9.0]]), SHAPE, N)
    patch = np.zeros((1, N, N), np.float32)
    patch[0, N // 2, N // 2] = 1
    merged = place.merge(tf.constant(patch)).numpy().reshape(SHAPE)
    assert merged[9, 11] == 1
    assert np.count_nonzero(merged) == 1


def test_a_rounding_before_the_edge_is_the_edge():
    canvas = tf.constant(np.random.default_rng(0).normal(size=SHAPE[0] * SHAPE[1]), tf.float32)
    edge = np.float32(N // 2)
    before = np.nextafter(edge, np.float32(0))
    one, other = (
        Placement.of(tf.constant([[x, x]]), SHAPE, N).extract(canvas) for x in (edge, before)
    )
    np.testing.assert_allclose(other.numpy(), one.numpy(), atol=1e-5)


def test_merging_is_the_adjoint_of_cutting_out(rng, positions):
    patches, canvas = complex_normal(rng, 7, N, N), complex_normal(rng, SHAPE[0] * SHAPE[1])
    place = Placement.of(tf.constant(positions), SHAPE, N)
    left = np.vdot(place.extract(tf.constant(canvas)).numpy(), patches)
    right = np.vdot(canvas, place.merge(tf.constant(patches)).numpy())
    assert left == pytest.approx(right, rel=1e-5)


def test_gradients_are_the_adjoints(rng, positions):
    patches, canvas = rng.normal(size=(7, N, N)), rng.normal(size=SHAPE[0] * SHAPE[1])
    patches, canvas = tf.constant(patches, tf.float32), tf.constant(canvas, tf.float32)
    place = Placement.of(tf.constant(positions), SHAPE, N)
    with tf.GradientTape() as tape:
        tape.watch(patches)
        product = tf.reduce_sum(place.merge(patches) * canvas)
    np.testing.assert_allclose(tape.gradient(product, patches), place.extract(canvas), atol=1e-5)
    with tf.GradientTape() as tape:
        tape.watch(canvas)
        product = tf.reduce_sum(place.extract(canvas) * patches)
    np.testing.assert_allclose(tape.gradient(product, canvas), place.merge(patches), atol=1e-5)


def test_the_gradient_of_a_position_is_its_finite_difference(rng, positions):
    canvas = tf.constant(rng.normal(size=SHAPE[0] * SHAPE[1]), tf.float32)
    inner = tf.Variable(np.clip(positions[2:], 5.2, 12.8))

    def total():
        return tf.reduce_sum(Placement.of(inner, SHAPE, N).extract(canvas) ** 2)

    with tf.GradientTape() as tape:
        value = total()
    slope, step = tape.gradient(value, inner).numpy()[1, 0], 1e-2
    before = inner[1, 0].numpy()
    ends = []
    for sign in (-1, 1):
        inner[1, 0].assign(before + sign * step)
        ends.append(float(total()))
    assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=2e-2)


def test_a_canvas_of_ones_stays_one(positions):
    weight = tf.constant(probe_weight(defocused_probe(N)), tf.float32)
    ones = tf.ones((7, N, N), tf.complex64)
    agreed = Placement.of(tf.constant(positions), SHAPE, N).agree(ones, weight)
    np.testing.assert_allclose(agreed.numpy(), 1, atol=1e-4)


def test_patches_of_one_object_get_their_phases_back(rng, positions):
    canvas = 1 + 0.2 * complex_normal(rng, *SHAPE)
    patches = extract_patches(canvas, positions, N)
    phases = np.exp(1j * rng.uniform(-1, 1, (7, 1, 1))).astype(np.complex64)
    place = Placement.of(tf.constant(positions), SHAPE, N)
    weight = tf.ones((N, N))
    turned = tf.constant((patches * phases).astype(np.complex64))
    factors = place.phases_in_agreement(turned, weight).numpy()
    np.testing.assert_allclose(np.abs(factors), 1, atol=1e-5)
    before = np.abs(np.mean(phases))
    assert np.abs(np.mean(factors * phases)) > before + 0.5 * (1 - before)


def test_one_trace_serves_every_canvas(positions):
    @tf.function(input_signature=[tf.TensorSpec((None, 2)), tf.TensorSpec((2,), tf.int32)])
    def sums(positions, shape):
        return tf.reduce_sum(Placement.of(positions, shape, N).weights(tf.ones((N, N))))

    for count, shape in ((7, SHAPE), (3, (40, 30))):
        found = sums(positions[:count], np.array(shape, np.int32))
        assert float(found) == pytest.approx(count * N * N, rel=1e-5)
    assert sums.experimental_get_tracing_count() == 1


def test_groups_agree_among_themselves_only(rng):
    positions = tf.constant(rng.uniform(0, 4, (3, 4, 2)), tf.float32)
    patches = tf.constant(complex_normal(rng, 3, 4, N, N))
    weight = tf.ones((N, N))
    whole = GroupCanvases.of(positions, N).agree(patches, weight)
    for k in range(3):
        alone = GroupCanvases.of(positions[k : k + 1], N).agree(patches[k : k + 1], weight)
        np.testing.assert_allclose(whole[k].numpy(), alone[0].numpy(), atol=1e-4)
    light = tf.constant(rng.uniform(0.1, 1, (N, N)), tf.float32)
    step = GroupCanvases.of(positions[:, :1], N).precondition(patches[:, :1], light, 0.05)
    single = patches[:, :1].numpy() / (0.95 * light.numpy() + 0.05 * light.numpy().max())
    np.testing.assert_allclose(step.numpy(), single, rtol=1e-4)


def test_a_group_is_told_what_the_others_say(rng):
    # at whole pixels, between which such rough patches would leak
    where = tf.constant(rng.integers(8, 12, (1, 4, 2)).repeat(2, axis=0), tf.float32)
    patches = tf.constant(complex_normal(rng, 2, 4, N, N))
    place = Placement.of(where, SHAPE, N)
    alone = place_apart(where, N, whole_pixels=True)
    weight = tf.ones((N, N))
    left_out = place.agree_with_others(patches, weight, alone, tf.constant(0.0))
    swapped = place.agree_with_others(patches[::-1], weight, alone, tf.constant(1e-6))
    own = place.agree_with_others(patches, weight, alone, tf.constant(1e6))  # nobody else counts
    np.testing.assert_allclose(swapped.numpy(), own.numpy(), atol=1e-3)
    np.testing.assert_allclose(left_out.numpy()[::-1], own.numpy(), atol=1e-3)


def test_with_a_full_share_all_count_alike(rng, positions):
    patches = tf.constant(complex_normal(rng, 7, 1, N, N))
    where, weight = tf.constant(positions[:, None]), tf.constant(rng.uniform(0.1, 1, (N, N)))
    weight = tf.cast(weight, tf.float32)
    place = Placement.of(where, SHAPE, N)
    alone = place_apart(where, N, whole_pixels=True)
    expected = place.agree(patches, weight)[:, 0]
    found = place.agree_with_others(patches, weight, alone, tf.constant(1.0))[:, 0]
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
