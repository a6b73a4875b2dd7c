import attar.evaluation


def test_every_measure_is_at_hand_by_its_name():
    metrics = attar.evaluation
    assert sorted(metrics.__all__) == metrics.__all__
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__
