import torch

from attar.codes import BatchTopK, TopK
from attar.codes.sparse.largest import HELPERS, PATIENCE, PRICE

DOUBLE = torch.float64


def with_idle(code, units):
    code.idle[units] = 2 * PATIENCE * len(code.idle) / code.k
    return code


def test_the_helpers_are_the_largest_idle_units_of_each_row_rectified():
    scores = torch.randn(50, 40)
    idle = torch.arange(3, 40, 2)
    helpers = with_idle(TopK(1).build(40), idle).helpers(scores)
    for row, helper in zip(scores, helpers, strict=True):
        best = idle[row[idle].argsort()[-HELPERS:]]
        expected = torch.zeros(40)
        expected[best] = row[best].relu()
        assert torch.equal(helper, expected)


def test_nobody_helps_while_every_unit_wins():
    assert not TopK(2).build(8).helpers(torch.rand(5, 8)).any()


def test_a_unit_is_idle_once_it_has_not_won_for_long():
    code = TopK(1).build(4)
    row = torch.tensor([[3.0, 2.0, 1.0, 1.0]])
    for _ in range(PATIENCE * 4):
        code.point(row)
    assert not code.helpers(row).any()
    code.point(row)
    assert code.helpers(row).tolist() == [[0.0, 2.0, 1.0, 1.0]]
    code.point(row.flip(1) * torch.tensor([1.0, 1.0, 2.0, 0.0]))
    assert code.helpers(row).tolist() == [[0.0, 2.0, 0.0, 1.0]]


def test_upkeep_is_what_is_left_unexplained_with_the_helpers_help():
    features = torch.randn(6, 8, dtype=DOUBLE, requires_grad=True)
    weight = torch.randn(8, 3, dtype=DOUBLE)
    row = torch.randn(6, 3, dtype=DOUBLE)
    for part in (TopK(2), BatchTopK(2)):
        code = with_idle(part.build(8).double(), [4, 5])
        features.data[:, 4:6] = -torch.rand(6, 2)
        features.data[:, 5] += 1

        def explain(z):
            return -(row - z @ weight).square().sum(-1)

        upkeep = code(features, None, explain).upkeep
        z = code.point(features).detach()
        left = row - z @ weight
        help_ = features.detach()[:, 5:6].relu() * weight[5]
        expected = PRICE * (left - help_).square().sum(-1)[None]
        torch.testing.assert_close(upkeep, expected)
        (slope,) = torch.autograd.grad(upkeep.sum(), features)
        expected = -2 * PRICE * ((left - help_) * weight[5]).sum(-1) * (features[:, 5] > 0)
        torch.testing.assert_close(slope[:, 5], expected)
        assert not slope[:, [0, 1, 2, 3, 4, 6, 7]].any()


def test_there_is_no_upkeep_outside_training():
    features = torch.randn(6, 8)
    for part in (TopK(2), BatchTopK(2)):
        assert part.build(8).eval()(features, None, lambda z: z.sum(-1)).upkeep is None
        assert part.build(8)(features).upkeep is None
