import attar.evaluation


def test_every_measure_is_at_hand_by_its_name():
    measures = attar.evaluation
    assert sorted(measures.__all__) == measures.__all__
    for name in measures.__all__:
        assert getattr(measures, name).__doc__
