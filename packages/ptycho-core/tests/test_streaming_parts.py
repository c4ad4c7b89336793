"""Joining, keeping and queueing: what comes is joined once, by number, and never mixed up."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.streaming.backlog import Backlog, columns
from ptycho_core.streaming.growing import GrowingObject
from ptycho_core.streaming.joining import Joined, Joiner
from ptycho_core.streaming.patterns import SAMPLED, PatternMaker, check_recipe
from ptycho_core.streaming.spool import Spool, SpoolError
from ptycho_core.testing import FakeLive, simulated_scan
from ptycho_data.streams import Begin


def add_frames(joiner, numbers, first_row=0):
    """Add frames as the receiver does: doubled ones are left out before they get a row."""
    numbers = np.array(numbers, np.int64)
    new = numbers[joiner.new_frames(numbers)]
    return joiner.add_frames(new, first_row + np.arange(len(new)), 0.0)


def add_positions(joiner, numbers, received=0.0):
    numbers = np.array(numbers, np.int64)
    return joiner.add_positions(numbers, np.stack([numbers * 2.0, -1.0 * numbers], 1), received)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["frame", "position"]), st.integers(0, 12)), max_size=60))
def test_whatever_the_order_each_frame_is_joined_once_with_its_own_position(course):
    joiner, rows, joined = Joiner(), {}, {}
    for kind, number in course:
        if kind == "frame":
            found = add_frames(joiner, [number], len(rows))
            rows.setdefault(number, len(rows))
        else:
            found = add_positions(joiner, [number])
        for one, row, place in zip(found.numbers, found.rows, found.places, strict=True):
            assert one not in joined
            joined[int(one)] = (int(row), tuple(place))
    frames = {number for kind, number in course if kind == "frame"}
    places = {number for kind, number in course if kind == "position"}
    assert joined == {n: (rows[n], (2.0 * n, -1.0 * n)) for n in frames & places}
    assert joiner.frames_waiting == len(frames - places)
    assert joiner.positions_waiting == len(places - frames)
    assert joiner.counts["doubled_frames"] == sum(k == "frame" for k, _ in course) - len(frames)
    assert joiner.missing(13).tolist() == sorted(set(range(13)) - frames)
    table_rows, numbers, positions = joiner.table()
    assert numbers.tolist() == sorted(joined)
    assert [(r, tuple(p)) for r, p in zip(table_rows, positions, strict=True)] == [
        joined[n] for n in sorted(joined)
    ]


def test_incidents_are_counted():
    joiner = Joiner()
    add_frames(joiner, [0, 3, 1, 3])
    add_positions(joiner, [0, 1])
    joiner.add_positions(np.array([1, 5, 6]), np.array([[9.0, 9], [np.nan, 1], [1, np.inf]]), 2.0)
    joiner.add_positions(np.array([3]), np.array([[1.0, 1.0]]), 2.5)
    assert joiner.counts["out_of_order"] == 1
    assert joiner.counts["doubled_frames"] == 1
    assert joiner.counts["contradicting_positions"] == 1
    assert joiner.counts["invalid_positions"] == 2
    assert joiner.longest_wait_s == 2.5
    assert joiner.missing(None).tolist() == [2]


def test_frames_of_an_earlier_run_come_again_without_being_called_doubled():
    joiner = Joiner()
    add_frames(joiner, [0, 1])
    joiner.resume()
    add_frames(joiner, [0, 1, 2, 1], 2)
    assert joiner.counts["doubled_frames"] == 1  # the second time that it came to this run


def test_positions_of_an_earlier_run_come_again_without_being_called_doubled():
    joiner = Joiner()
    add_frames(joiner, [0])
    add_positions(joiner, [0, 1])
    joiner.resume()
    add_positions(joiner, [0, 1, 2, 1])
    assert joiner.counts["doubled_positions"] == 1
    joiner.add_positions(np.array([0]), np.array([[5.0, 5.0]]), 0.0)
    assert joiner.counts["contradicting_positions"] == 1


def spool_of(folder, n=5):
    spool = Spool.create(folder)
    patterns = np.random.default_rng(0).poisson(5, (n, 4, 4)).astype(np.uint16)
    spool.begin(4, patterns.dtype, {"domain": "counts", "bad": np.zeros((4, 4), bool)})
    rows = spool.add_patterns(np.arange(n) + 10, patterns)
    spool.add_positions(np.arange(n), np.arange(2.0 * n).reshape(n, 2), in_pixels=True)
    assert rows.tolist() == list(range(n))
    return spool, patterns


def test_what_was_kept_is_there_again(tmp_path):
    spool, patterns = spool_of(tmp_path / "s")
    np.testing.assert_array_equal(spool.stack(np.array([3, 1]))[:], patterns[[3, 1]])
    spool.close()
    again = Spool.reopen(tmp_path / "s")
    assert len(again) == 5
    assert again.numbers().tolist() == [10, 11, 12, 13, 14]
    np.testing.assert_array_equal(again.patterns(np.arange(5)), patterns)
    numbers, places, in_pixels = again.positions()
    assert (numbers.tolist(), in_pixels) == ([0, 1, 2, 3, 4], True)
    assert places[4].tolist() == [8.0, 9.0]
    assert again.meta["domain"] == "counts"
    more = again.add_patterns(np.array([20]), patterns[:1])
    assert more.tolist() == [5]
    again.remove()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("cut", [1, 17, 47])
def test_a_record_that_was_being_written_is_cut_off(tmp_path, cut):
    spool, patterns = spool_of(tmp_path / "s")
    spool.close()
    path = tmp_path / "s" / "patterns.dat"
    path.write_bytes(path.read_bytes()[:-cut])
    again = Spool.reopen(tmp_path / "s")
    assert len(again) == len(patterns) - 1 - (cut > 44)
    rows = again.add_patterns(np.array([77]), patterns[4:])  # goes on behind the last whole one
    np.testing.assert_array_equal(again.patterns(rows), patterns[4:])
    again.close()


def test_a_damaged_record_ends_what_is_believed(tmp_path):
    spool, _ = spool_of(tmp_path / "s")
    spool.close()
    path = tmp_path / "s" / "patterns.dat"
    data = bytearray(path.read_bytes())
    data[2 * 44 + 20] ^= 1
    path.write_bytes(data)
    again = Spool.reopen(tmp_path / "s")
    assert len(again) == 2
    again.close()


def test_a_folder_of_something_else_is_no_spool(tmp_path):
    (tmp_path / "positions.dat").touch()
    (tmp_path / "stream.npz").write_bytes(b"PK nothing")
    with pytest.raises(SpoolError):
        Spool.reopen(tmp_path)


def joined(first, number):
    rows = np.arange(first, first + number)
    return Joined(numbers=rows, rows=rows, places=np.zeros((number, 2)), received=np.zeros(number))


def test_a_source_that_cannot_wait_has_its_oldest_patterns_put_off():
    backlog = Backlog(limit=10, waits=False)
    backlog.put(joined(0, 25))
    assert backlog.put_off == 15
    order = [columns(backlog.take(5))[0].tolist() for _ in range(5)]
    assert [number for some in order for number in some] == [
        *range(15, 25),
        *range(15),
    ]  # the newest first, nothing lost
    assert backlog.take(5) == []


def test_a_source_that_can_wait_does():
    backlog = Backlog(limit=10, waits=True)
    backlog.put(joined(0, 10))
    assert backlog.full
    waited = threading.Thread(target=backlog.wait_for_room, args=(30.0,))
    waited.start()
    backlog.take(1)
    waited.join(10.0)
    assert not waited.is_alive()
    assert backlog.put_off == 0


@pytest.mark.parametrize(("joint", "steps"), [(False, [64, 1, 15, 4]), (True, [64, 16, 4])])
def test_a_joint_network_waits_for_a_step_of_patterns(tmp_path, joint, steps):
    """Few patterns alone spoil the estimate that the next ones start from."""
    scan = simulated_scan(84)
    spool = Spool.create(tmp_path / "arrived")
    spool.begin(scan.N, scan.diffraction.dtype, {})
    rows = spool.add_patterns(np.arange(84), scan.diffraction)
    backlog = Backlog(limit=100, waits=True)
    growing = GrowingObject(
        live=FakeLive(probe=scan.probe, joint=joint), spool=spool, backlog=backlog
    )

    def come(first, stop):
        backlog.put(
            Joined(
                numbers=np.arange(first, stop),
                rows=rows[first:stop],
                places=scan.positions[first:stop],
                received=np.zeros(stop - first),
            )
        )

    done = []
    for first, stop, last in ((0, 63, False), (63, 65, False), (65, 80, False), (80, 84, True)):
        come(first, stop)
        while number := growing.step(last=last):
            done.append(number)
    assert done == steps
    fit = growing.fit(growing.live.result(), "counts", None)
    assert 0.5 < fit["r_over_noise"] < 3
    spool.remove()


def test_ready_patterns_stay_as_they_are():
    frames = np.random.default_rng(0).poisson(20, (3, 16, 16)).astype(np.uint16)
    mask = np.zeros((16, 16), np.uint8)
    mask[3, 4] = 1
    maker = PatternMaker(recipe=Recipe(), size=16, title="test", begin=Begin(mask=mask))
    assert maker.enough(frames[:1])
    maker.decide(frames[:1])
    assert maker.bad_pixels[3, 4]
    expected = np.where(mask, 0, frames)
    np.testing.assert_array_equal(maker.patterns(frames), expected)
    np.testing.assert_array_equal(maker.places(np.array([[3.0, 4]]), in_pixels=True), [[3, 4]])


def test_the_recipe_centres_turns_and_scales():
    rng = np.random.default_rng(1)
    rows, columns_ = np.mgrid[:40, :50]
    light = 900 * np.exp(-((rows - 22) ** 2 + (columns_ - 18) ** 2) / 20)
    frames = rng.poisson(light, (SAMPLED, 40, 50)).astype(np.uint16)
    recipe = Recipe(energy="8keV", distance="2m", detector_pixel="75um", swap_xy=True, flip_x=True)
    maker = PatternMaker(recipe=recipe, size=16, title="test")
    assert not maker.enough(frames[:10])
    maker.decide(frames)
    patterns = maker.patterns(frames[:2])
    assert patterns.shape == (2, 16, 16)
    assert np.unravel_index(light[14:30, 10:26].argmax(), (16, 16)) == (8, 8)
    np.testing.assert_array_equal(patterns, frames[:2, 14:30, 10:26])
    places = maker.places(np.array([[0.0, 0.0], [1e-6, 2e-6]]), in_pixels=False)
    pixel = 1.549802e-10 * 2 / (16 * 75e-6)
    np.testing.assert_allclose(places, [[0, 0], [-2e-6 / pixel, 1e-6 / pixel]], rtol=1e-4)
    again = PatternMaker(recipe=recipe, size=16, title="test")
    again.resume(maker.meta())
    np.testing.assert_array_equal(again.patterns(frames[:2]), patterns)
    np.testing.assert_allclose(again.places(np.zeros((1, 2)), in_pixels=False), [[0, 0]])


@pytest.mark.parametrize(
    ("given", "name"),
    [({"merge": True}, "merge"), ({"rotate": "auto"}, "rotate"), ({"follow": "."}, "follow")],
)
def test_settings_that_need_the_whole_scan_are_refused(given, name):
    with pytest.raises(InvalidValueError) as caught:
        check_recipe(Recipe(**given))
    assert caught.value.name == name


def test_frames_without_pixels_for_the_probe_are_refused():
    maker = PatternMaker(recipe=Recipe(size=32), size=16, title="test")
    with pytest.raises(InvalidValueError) as caught:
        maker.decide(np.ones((SAMPLED, 40, 40), np.uint16))
    assert caught.value.name == "size"
