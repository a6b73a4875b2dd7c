import torch

from attar.codes import BatchTopK, TopK
from attar.codes.sparse.topk import PATIENCE, PRICE

DOUBLE = torch.float64


def with_idle(code, units):
    code.idle[units] = 2 * PATIENCE * len(code.idle) / code.k
    return code


def test_each_idle_unit_is_lent_the_rows_it_helps_most_of_the_worst_explained():
    scores, explained, slope = torch.randn(50, 20), torch.randn(50), torch.randn(50, 20)
    idle = [3, 7, 8]
    lent = with_idle(TopK(4).build(20), idle).lent(scores, explained, slope)
    expected = torch.zeros(50, 20)
    # Half of an even share is 5 rows for each of three units.
    worst = explained.argsort()[:15]
    for unit in idle:
        best = worst[slope[worst, unit].argsort(descending=True)[:5]]
        expected[best, unit] = (scores[best, unit] - scores[:, unit].mean()).clamp_min(0)
    torch.testing.assert_close(lent, expected)


def test_a_row_alone_is_lent_to_nobody():
    code = with_idle(TopK(2).build(8), [1])
    assert not code.lent(torch.randn(1, 8), torch.zeros(1), torch.ones(1, 8)).any()


def test_nothing_is_lent_while_every_unit_wins():
    assert not TopK(2).build(8).lent(torch.rand(5, 8), torch.rand(5), torch.ones(5, 8)).any()


def test_a_unit_is_idle_once_it_has_not_won_for_long():
    code, rows = TopK(1).build(4), (torch.rand(12, 4).sort(0).values, -torch.arange(12.0))

    def lent():
        # What each unit likes most is explained worst, and helped most.
        return code.lent(*rows, rows[0])

    row = torch.tensor([[3.0, 2.0, 1.0, 1.0]])
    # 8 times the 4 rows in which one of an even share would have won once.
    for _ in range(8 * 4):
        code.point(row)
    assert not lent().any()
    code.point(row)
    assert lent().any(0).tolist() == [False, True, True, True]
    code.point(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    assert lent().any(0).tolist() == [False, True, False, True]


def test_upkeep_is_what_code_and_idle_units_leave_unexplained():
    weight, row = torch.randn(8, 3, dtype=DOUBLE), torch.randn(32, 3, dtype=DOUBLE)
    features = torch.randn(32, 8, dtype=DOUBLE)
    features[:, 5] -= 100
    features.requires_grad_()

    def log_likelihood(z):
        return -(row - z @ weight).square().sum(-1)

    for part in (TopK(2), BatchTopK(2)):
        code = with_idle(part.build(8).double(), [5])
        auxiliary_loss = code(features, None, log_likelihood).auxiliary_loss
        left = (row - code.point(features) @ weight).detach()
        explained, slope = -left.square().sum(-1), 2 * left @ weight.T
        lent = code.lent(features, explained, slope).detach()[:, 5:6]
        rest = left - lent * weight[5]
        torch.testing.assert_close(auxiliary_loss, PRICE * rest.square().sum(-1)[None])
        (slope,) = torch.autograd.grad(auxiliary_loss.sum(), features)
        asked = lent[:, 0] > 0
        assert asked.any()
        pulled = torch.where(asked, -2 * PRICE * (rest @ weight[5]), 0.0)
        # All rows bear the counterweight: all scores together are pushed nowhere.
        torch.testing.assert_close(slope[:, 5], pulled - pulled.mean())
        assert not slope[:, [0, 1, 2, 3, 4, 6, 7]].any()


def test_there_is_no_upkeep_outside_training():
    features = torch.randn(6, 8)
    for part in (TopK(2), BatchTopK(2)):
        assert part.build(8).eval()(features, None, lambda z: z.sum(-1)).auxiliary_loss is None
        assert part.build(8)(features).auxiliary_loss is None
