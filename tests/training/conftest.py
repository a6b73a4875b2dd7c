"""A small training that any test may vary."""

import pytest
import torch

from attar.data.batches import Held, Selection
from attar.likelihoods import FixedGaussian
from attar.networks import Mlp
from attar.recipes import recipe
from attar.training import OneCycle, Optimizer
from attar.training.loop import Training, TrainingSettings

ROWS, SIZE = 60, 4


@pytest.fixture
def training():
    """A function that makes a training on 40 rows, with 20 validation rows."""

    def make(
        spec="ae",
        *,
        network=Mlp((8,), "tanh"),  # noqa: B008
        likelihood=FixedGaussian(),  # noqa: B008
        x=None,
        validation=True,
        callbacks=(),
        checkpoint=None,
        **settings,
    ):
        torch.manual_seed(7)
        if x is None:
            x = torch.randn(ROWS, 3) @ torch.randn(3, 6)
        spec = recipe(spec) if isinstance(spec, str) else spec
        objective = spec.build(tuple(x.shape[1:]), SIZE, network, likelihood)
        held, train = Held(x, lambda x: x), torch.arange(40)
        return Training(
            objective,
            Selection(held, train, 10),
            Selection(held, train, 40),
            Selection(held, torch.arange(40, 60), 20) if validation else None,
            TrainingSettings(
                **{
                    "epochs": 6,
                    "batch_size": 10,
                    "optimizer": Optimizer("adam"),
                    "schedule": OneCycle(),
                    "learning_rate": 0.01,
                    **settings,
                }
            ),
            callbacks,
            checkpoint,
        )

    return make
