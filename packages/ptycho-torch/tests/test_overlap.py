import pytest
import torch
from ptycho_torch.overlap import (
    GroupCanvases,
    agree,
    agree_with_others,
    phases_in_agreement,
    weighted_sums,
)


@pytest.fixture
def weight():
    return torch.rand(8, 8) + 1e-3


def spread(B, C):
    return 10 + 5 * torch.rand(B, C, 1, 2)


def test_a_constant_stays_constant(weight):
    patches = torch.full((6, 8, 8), 2 - 1j, dtype=torch.complex64)
    where = 5 + 6 * torch.rand(6, 2)
    torch.testing.assert_close(agree(patches, where, weight, (20, 20)), patches)


def test_agreeing_patches_stay_as_they_are(weight):
    canvas = torch.randn(20, 20, dtype=torch.complex64)
    where = torch.tensor([[6.0, 7.0], [9.0, 8.0], [7.0, 11.0]])
    patches = torch.stack([canvas[3:11, 2:10], canvas[4:12, 5:13], canvas[7:15, 3:11]])
    torch.testing.assert_close(agree(patches, where, weight, (20, 20)), patches)


def test_patches_that_differ_in_phase_are_brought_in_phase(weight):
    canvas = torch.randn(20, 20, dtype=torch.complex64) + 2
    where = torch.tensor([[6.0, 7.0], [9.0, 8.0], [7.0, 11.0]])
    patches = torch.stack([canvas[3:11, 2:10], canvas[4:12, 5:13], canvas[7:15, 3:11]])
    turns = torch.polar(torch.ones(3), torch.tensor([0.0, 0.8, -0.5]))[:, None, None]
    factors = phases_in_agreement(patches * turns, where, weight, (20, 20)) * turns
    torch.testing.assert_close(factors, factors[:1].expand_as(factors), atol=0.1, rtol=0)


def test_a_patch_that_overlaps_nothing_keeps_its_phase(weight):
    patches = torch.randn(2, 8, 8, dtype=torch.complex64)
    patches[1] = 0  # where the network sees nothing at all
    factors = phases_in_agreement(
        patches, torch.tensor([[6.0, 6.0], [30.0, 6.0]]), weight, (12, 40)
    )
    torch.testing.assert_close(factors, torch.ones_like(factors))


def test_disagreeing_patches_meet_at_the_weighted_mean():
    patches = torch.stack([torch.full((8, 8), 1.0), torch.full((8, 8), 4.0)]).to(torch.complex64)
    where = torch.tensor([[6.0, 6.0], [6.0, 6.0]])
    total, coverage = weighted_sums(patches, where, torch.full((8, 8), 0.5), (12, 12))
    assert coverage[6, 6] == 1
    assert total[6, 6] == 2.5
    assert coverage[0, 0] == 0


def test_bright_patch_pixel_lands_on_its_position():
    patches = torch.zeros(1, 8, 8, dtype=torch.complex64)
    patches[0, 4, 4] = 1
    total, _ = weighted_sums(patches, torch.tensor([[6.0, 9.0]]), torch.ones(8, 8), (16, 14))
    assert total[9, 6] == 1
    assert total.abs().sum() == 1


def test_groups_do_not_touch_each_other(weight):
    patches = torch.randn(3, 4, 8, 8, dtype=torch.complex64)
    positions = spread(3, 4)
    together = GroupCanvases.of(positions, 8).agree(patches, weight)
    for k in range(3):
        alone = GroupCanvases.of(positions[k : k + 1], 8).agree(patches[k : k + 1], weight)
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-4, atol=1e-4)


def test_where_a_group_lies_does_not_matter(weight):
    patches, positions = torch.randn(2, 4, 8, 8, dtype=torch.complex64), spread(2, 4)
    here = GroupCanvases.of(positions, 8).agree(patches, weight)
    there = GroupCanvases.of(positions + 128, 8).agree(patches, weight)
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)


def test_a_single_pattern_has_nothing_to_agree_with(weight):
    patches = torch.randn(5, 1, 8, 8, dtype=torch.complex64)
    canvases = GroupCanvases.of(spread(5, 1), 8)
    assert canvases.single
    assert canvases.agree(patches, weight) is patches


def test_a_group_of_one_position_is_preconditioned_like_a_single_pattern():
    gradient, light = torch.randn(2, 1, 8, 8, dtype=torch.complex64), torch.rand(8, 8)
    single = GroupCanvases.of(spread(2, 1), 8).precondition(gradient, light, 0.1)
    torch.testing.assert_close(single, gradient / (0.9 * light + 0.1 * light.max()))
    twins = gradient.expand(2, 2, 8, 8)
    where = torch.full((2, 2, 1, 2), 30.0)
    pair = GroupCanvases.of(where, 8).precondition(twins, light, 1e-6)
    torch.testing.assert_close(pair[:, 0], gradient[:, 0] / light, rtol=1e-2, atol=1e-2)


def test_without_a_share_each_patch_is_what_the_others_say():
    values = torch.tensor([1.0, 2.0, 6.0])[:, None, None, None]
    patches = values.expand(3, 1, 8, 8).to(torch.complex64)
    where = torch.full((3, 1, 1, 2), 6.3)  # all in one place, between pixels
    found = agree_with_others(patches, where, torch.ones(8, 8), (12, 12), torch.tensor(0.0))
    expected = torch.tensor([4.0, 3.5, 1.5])[:, None, None, None].expand(3, 1, 8, 8)
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-3, atol=1e-3)


def test_a_patch_that_the_others_do_not_reach_says_it_alone(weight):
    patches = torch.randn(2, 1, 8, 8, dtype=torch.complex64)
    where = torch.tensor([[6.0, 6.0], [30.0, 6.0]]).view(2, 1, 1, 2)
    found = agree_with_others(patches, where, weight, (12, 40), torch.tensor(0.01))
    torch.testing.assert_close(found, patches, rtol=1e-3, atol=1e-3)


def test_with_a_full_share_all_count_alike(weight):
    where = torch.tensor([[6.0, 7.0], [9.0, 8.0], [7.0, 11.0], [8.0, 9.0]]).view(2, 2, 1, 2)
    patches = torch.randn(2, 2, 8, 8, dtype=torch.complex64)
    found = agree_with_others(patches, where, weight, (24, 24), torch.tensor(1.0))
    expected = agree(patches, where.squeeze(-2), weight, (24, 24))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_group_leaves_itself_out_as_a_whole(weight):
    patches = torch.randn(2, 4, 8, 8, dtype=torch.complex64, requires_grad=True)
    # one group on the other; at whole pixels, between which such rough patches would leak
    where = torch.randint(8, 12, (1, 4, 1, 2)).float().expand(2, 4, 1, 2)
    found = agree_with_others(patches, where, weight, (30, 30), torch.tensor(0.0))
    found[0].abs().square().sum().backward()
    assert patches.grad is not None
    assert patches.grad[0].abs().max() < 1e-3 * patches.grad[1].abs().max()
