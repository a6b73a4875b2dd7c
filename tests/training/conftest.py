"""A small training that any test may vary."""

import pytest
import torch

from attar.data.batches import Held, Selection
from attar.likelihoods import FixedGaussian
from attar.networks import Mlp
from attar.recipes import recipe
from attar.training import OneCycle, Optimizer
from attar.training.loop import TrainingSettings, Training

ROWS, SIZE = 60, 4


@pytest.fixture
def training():
    """A function that makes a training on 60 rows, the last 20 of them held out."""

    def make(
        spec="ae",
        *,
        network=Mlp((8,), "tanh"),  # noqa: B008
        likelihood=FixedGaussian(),  # noqa: B008
        x=None,
        held_out=True,
        callbacks=(),
        checkpoint=None,
        **settings,
    ):
        torch.manual_seed(7)
        if x is None:
            x = torch.randn(ROWS, 3) @ torch.randn(3, 6)
        made = recipe(spec) if isinstance(spec, str) else spec
        objective = made.build((6,), SIZE, network, likelihood)
        held, learnt = Held(x, lambda x: x), torch.arange(40)
        return Training(
            objective,
            Selection(held, learnt, 10),
            Selection(held, learnt, 40),
            Selection(held, torch.arange(40, 60), 20) if held_out else None,
            TrainingSettings(
                **{
                    "epochs": 6,
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
