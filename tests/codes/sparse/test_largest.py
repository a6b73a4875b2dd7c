import torch

from attar.codes import BatchTopK, TopK
from attar.codes.sparse.largest import PATIENCE, PRICE

DOUBLE = torch.float64


def with_idle(code, units):
    code.idle[units] = 2 * PATIENCE * len(code.idle) / code.k
    return code


def test_each_idle_unit_is_lent_its_share_of_rows_by_how_much_it_likes_them():
    scores, idle = torch.randn(50, 20), [3, 7, 8]
    lent = with_idle(TopK(2).build(20), idle).lent(scores)
    expected = torch.zeros(50, 20)
    for unit in idle:
        order = scores[:, unit].argsort(descending=True)
        share, following = order[:5], order[5]
        expected[share, unit] = scores[share, unit] - scores[following, unit]
    assert torch.equal(lent, expected)


def test_a_row_alone_is_lent_to_nobody():
    assert not with_idle(TopK(2).build(8), [1]).lent(torch.randn(1, 8)).any()


def test_nothing_is_lent_while_every_unit_wins():
    assert not TopK(2).build(8).lent(torch.rand(5, 8)).any()


def test_a_unit_is_idle_once_it_has_not_won_for_long():
    code, scores = TopK(1).build(4), torch.rand(12, 4)
    row = torch.tensor([[3.0, 2.0, 1.0, 1.0]])
    for _ in range(PATIENCE * 4):
        code.point(row)
    assert not code.lent(scores).any()
    code.point(row)
    assert code.lent(scores).any(0).tolist() == [False, True, True, True]
    code.point(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    assert code.lent(scores).any(0).tolist() == [False, True, False, True]


def test_upkeep_is_what_code_and_idle_units_leave_unexplained():
    weight, row = torch.randn(8, 3, dtype=DOUBLE), torch.randn(9, 3, dtype=DOUBLE)
    features = torch.randn(9, 8, dtype=DOUBLE)
    features[:, 5] -= 100
    features.requires_grad_()

    def explain(z):
        return -(row - z @ weight).square().sum(-1)

    for part in (TopK(2), BatchTopK(2)):
        code = with_idle(part.build(8).double(), [5])
        upkeep = code(features, None, explain).upkeep
        left = (row - code.point(features) @ weight).detach()
        lent = code.lent(features).detach()[:, 5:6]
        rest = left - lent * weight[5]
        torch.testing.assert_close(upkeep, PRICE * rest.square().sum(-1)[None])
        (slope,) = torch.autograd.grad(upkeep.sum(), features)
        asked = lent[:, 0] > 0
        torch.testing.assert_close(slope[asked, 5], -2 * PRICE * (rest @ weight[5])[asked])
        # The row next in line bears the counterweight: all scores together are pushed nowhere.
        torch.testing.assert_close(slope[:, 5].sum(), torch.zeros((), dtype=DOUBLE))
        assert (slope[~asked, 5] != 0).sum() == 1
        assert not slope[:, [0, 1, 2, 3, 4, 6, 7]].any()


def test_there_is_no_upkeep_outside_training():
    features = torch.randn(6, 8)
    for part in (TopK(2), BatchTopK(2)):
        assert part.build(8).eval()(features, None, lambda z: z.sum(-1)).upkeep is None
        assert part.build(8)(features).upkeep is None
