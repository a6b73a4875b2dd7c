import torch

from attar.codes import SparseL1


def test_units_are_rectified_and_pay_for_their_sum():
    features = torch.tensor([[-1.0, 0.5, 2.0], [-3.0, -0.1, 0.0]])
    coded = SparseL1().build(3)(features)
    assert coded.z.tolist() == [[[0.0, 0.5, 2.0], [0.0, 0.0, 0.0]]]
    assert coded.rate.tolist() == [[2.5, 0.0]]


def test_the_nearest_valid_code_has_no_negative_unit():
    assert SparseL1().build(2).constrain(torch.tensor([[-1.0, 2.0]])).tolist() == [[0.0, 2.0]]


def test_a_code_of_one_unit_makes_sense():
    assert SparseL1().least_size == 1
