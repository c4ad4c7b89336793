"""Against the published update rule, written out in NumPy."""

import numpy as np
import pytest
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.optimizer import AdamW

RATE, DECAY = 0.1, 0.02


@pytest.fixture
def gradients():
    rng = np.random.default_rng(0)
    return [[rng.normal(size=3), rng.normal(size=())] for _ in range(4)]


def run(gradients, updates=None, **settings):
    variables = [keras.Variable(np.ones(3, np.float32)), keras.Variable(np.float32(2))]
    rules = {id(variables[0]): (1.0, DECAY), id(variables[1]): (2.0, 0.0)}
    optimizer = AdamW(RATE, rules=lambda v: rules[id(v)], **settings)
    optimizer.build(variables)
    for k, pair in enumerate(gradients):
        update = tf.constant(updates[k] if updates else True)
        optimizer.step([tf.constant(g, tf.float32) for g in pair], variables, update)
    optimizer.exchange_with_means(variables)
    return [v.numpy() for v in variables], int(optimizer.iterations.numpy())


def written_out(gradients):
    values = [np.ones(3), np.float64(2)]
    for k, (factor, decay) in enumerate(((1.0, DECAY), (2.0, 0.0))):
        m = v = 0.0
        for t, pair in enumerate(gradients, start=1):
            m, v = 0.9 * m + 0.1 * pair[k], 0.999 * v + 0.001 * pair[k] ** 2
            values[k] = values[k] * (1 - RATE * factor * decay)
            unbiased = m / (1 - 0.9**t), v / (1 - 0.999**t)
            values[k] = values[k] - RATE * factor * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return values


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5)


def test_steps_are_those_of_the_paper(gradients):
    found, steps = run(gradients)
    same(found, written_out(gradients))
    assert steps == 4


def test_accumulated_gradients_make_one_step_of_their_mean(gradients):
    found, steps = run(gradients, [False, True, False, True], accum_steps=2)
    means = [
        [(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in (gradients[:2], gradients[2:])
    ]
    same(found, written_out(means))
    assert steps == 2


def test_the_norm_is_clipped_as_a_whole(gradients):
    found, _ = run(gradients, clip_val=0.5)
    clipped = []
    for a, b in gradients:
        factor = min(1, 0.5 / (np.sqrt((a**2).sum() + b**2) + 1e-6))
        clipped.append([a * factor, b * factor])
    same(found, written_out(clipped))


def test_values_are_clipped_each(gradients):
    found, _ = run(gradients, clip_val=0.3, clip_algorithm="value")
    same(found, written_out([[np.clip(g, -0.3, 0.3) for g in pair] for pair in gradients]))


def test_the_mean_counts_later_steps_more(gradients):
    found, _ = run(gradients, average=True)
    steps = [written_out(gradients[:t]) for t in range(1, 5)]
    shares = np.array([t * (t + 1) for t in range(1, 5)]) / 40
    means = [sum(s * step[k] for s, step in zip(shares, steps, strict=True)) for k in range(2)]
    same(found, means)


def test_added_up_gradients_reach_the_mean_once_a_step(gradients):
    twice = [pair for pair in gradients for _ in range(2)]
    found, _ = run(twice, [False, True] * 4, accum_steps=2, average=True)
    same(found, run(gradients, average=True)[0])


def test_means_and_variables_change_places_and_back(gradients):
    variable = keras.Variable(np.float32(2))
    optimizer = AdamW(RATE, rules=lambda _: (1.0, 0.0), average=True)
    optimizer.build([variable])
    optimizer.exchange_with_means([variable])
    assert variable.numpy() == 2  # there is no mean yet
    for pair in gradients:
        optimizer.step([tf.constant(pair[1], tf.float32)], [variable], tf.constant(True))
    last = variable.numpy()
    optimizer.exchange_with_means([variable])
    assert variable.numpy() != last
    optimizer.exchange_with_means([variable])
    assert variable.numpy() == last
