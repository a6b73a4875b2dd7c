import math

import pytest
import torch
from torch import nn

from attar import SettingError
from attar.codes import Gaussian
from attar.networks import CustomNetwork

SHAPE = (1, 4, 4)


def test_a_pair_with_the_datas_own_shape_is_taken_as_it_is():
    encoder = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    decoder = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, SHAPE))
    network = CustomNetwork.of((encoder, decoder))
    x, z = torch.randn(5, *SHAPE), torch.randn(5, 3)
    assert torch.equal(network.encoder(SHAPE, 3)(x), encoder(x))
    assert torch.equal(network.decoder(3, SHAPE)(z), decoder(z))
    assert network.features(SHAPE) == 3


def test_a_pair_for_flat_rows_gets_them_flat():
    encoder, decoder = nn.Linear(16, 3), nn.Linear(3, 16)
    network = CustomNetwork.of((encoder, decoder))
    x, z = torch.randn(5, *SHAPE), torch.randn(5, 3)
    assert torch.equal(network.encoder(SHAPE, 3)(x), encoder(x.flatten(1)))
    assert torch.equal(network.decoder(3, SHAPE)(z), decoder(z).reshape(5, *SHAPE))
    assert network.features(SHAPE) == 3


def test_a_linear_layer_as_wide_as_the_image_is_not_taken_for_an_encoder_of_images():
    assert (
        CustomNetwork.of((nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), nn.Identity())).features(
            SHAPE
        )
        == 4
    )
    with pytest.raises(SettingError, match=r"The encoder (must give features|fails with)"):
        CustomNetwork.of((nn.Linear(4, 4), nn.Identity())).features(SHAPE)


def test_copies_are_trained_and_the_given_modules_stay_as_they_were():
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 3))
    decoder = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16))
    before = [
        {name: tensor.clone() for name, tensor in module.state_dict().items()}
        for module in (encoder, decoder)
    ]
    network = CustomNetwork.of((encoder, decoder))
    network.features(SHAPE)
    copies = network.encoder(SHAPE, 3), network.decoder(3, SHAPE)
    for module in copies:
        # Checking the modules does not change the copies.
        for name, tensor in module.state_dict().items():
            if "running_mean" in name:
                assert not tensor.any()
        for parameter in module.parameters():
            nn.init.zeros_(parameter)
    for module, state in zip((encoder, decoder), before, strict=True):
        assert module.training
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, state[name])


def test_checking_the_modules_draws_nothing():
    encoder, decoder = nn.Sequential(nn.Dropout(), nn.Linear(16, 3)), nn.Linear(3, 16)
    network, state = CustomNetwork.of((encoder, decoder)), torch.get_rng_state()
    network.features((16,))
    network.encoder((16,), 3)
    network.decoder(3, (16,))
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_shapes_are_refused_in_one_sentence():
    network = CustomNetwork.of((nn.Linear(16, 3), nn.Linear(3, 15)))
    with pytest.raises(SettingError) as error:
        network.encoder((16,), 6)
    assert str(error.value) == (
        "The encoder gives (3,) for a row of shape (16,), but the code is made from 6 features."
    )
    with pytest.raises(SettingError, match=r"The encoder fails with .* on rows of shape \(17,\)\."):
        network.encoder((17,), 3)
    with pytest.raises(SettingError) as error:
        network.decoder(3, SHAPE)
    assert str(error.value) == (
        "The decoder gives (15,) for a code of 3 dimensions, but a row of the data has shape "
        "(1, 4, 4)."
    )
    with pytest.raises(SettingError, match=r"The encoder (must give features|fails with)"):
        network.features((17,))


def test_a_module_that_gives_no_tensor_is_refused():
    with pytest.raises(SettingError) as error:
        CustomNetwork.of((nn.LSTM(16, 3), nn.Linear(3, 16))).encoder((16,), 3)
    assert str(error.value) == ("The encoder returns a tuple on rows of shape (16,).")


class Raising(nn.Module):
    def forward(self, x):
        assert x.ndim == 2, "rows are flat"
        raise KeyError("latent")


def test_a_modules_own_error_is_quoted():
    network = CustomNetwork.of((nn.Sequential(nn.Flatten(), nn.Linear(15, 3)), Raising()))
    with pytest.raises(SettingError) as error:
        network.encoder(SHAPE, 3)
    assert str(error.value) == (
        "The encoder fails with 'mat1 and mat2 shapes cannot be multiplied (2x16 and 15x3)' on "
        "rows of shape (1, 4, 4)."
    )
    with pytest.raises(SettingError, match="The decoder fails with \"'latent'\""):
        network.decoder(3, SHAPE)
    with pytest.raises(
        SettingError, match=r"'rows are flat' on rows .*, and on flat rows fails with "
    ):
        CustomNetwork.of((Raising(), nn.Identity())).features(SHAPE)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.log_variance = nn.Linear(16, 3), nn.Linear(16, 3)

    def forward(self, x):
        return self.mean(x), self.log_variance(x)


def test_a_pair_of_mean_and_log_variance_are_the_moments_of_a_gaussian_code():
    encoder = TwoHeads()
    network = CustomNetwork.of((encoder, nn.Linear(3, 16)))
    assert network.features((16,)) == 6
    assert network.gives_moments((16,))
    assert not CustomNetwork.of((nn.Linear(16, 3), nn.Linear(3, 16))).gives_moments((16,))
    x = torch.randn(5, *SHAPE)
    coded = Gaussian().build(3)(network.encoder(SHAPE, 6)(x))
    mean, log_variance = coded.moments
    assert torch.equal(mean, encoder.mean(x.flatten(1)))
    assert torch.equal(log_variance, encoder.log_variance(x.flatten(1)))


def test_modules_in_double_precision_are_copied_in_single():
    encoder, decoder = nn.Linear(16, 3).double(), nn.Linear(3, 16).double()
    network = CustomNetwork.of((encoder, decoder))
    x = torch.randn(5, 16)
    expected = encoder(x.double()).float()
    torch.testing.assert_close(network.encoder((16,), 3)(x), expected)
    assert encoder.weight.dtype == torch.float64


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_a_scripted_module_is_refused():
    scripted = torch.jit.script(nn.Linear(16, 3))
    with pytest.raises(SettingError, match="give the module that it was made from"):
        CustomNetwork.of((scripted, nn.Identity())).features((16,))


class Squashed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 16)

    def forward(self, z):
        return self.layer(z).sigmoid()


@pytest.mark.parametrize(
    ("decoder", "limits"),
    [
        (Squashed(), (0, 1)),
        (nn.Sequential(nn.Sequential(nn.Linear(3, 16), nn.Sigmoid())), (0, 1)),
        (nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 16), nn.Sigmoid()), (0, 1)),
        (nn.Sequential(nn.Linear(3, 16), nn.Tanh()), (-1, 1)),
        (nn.Sequential(nn.Linear(3, 16), nn.ReLU()), (0, math.inf)),
        (nn.Linear(3, 16), (-math.inf, math.inf)),
        (nn.Sequential(nn.Linear(3, 99), nn.Tanh(), nn.Linear(99, 16)), (-math.inf, math.inf)),
        (nn.Sequential(nn.Linear(3, 16), nn.Threshold(math.inf, 0.0)), (-math.inf, math.inf)),
    ],
)
def test_the_limits_of_a_decoder_are_those_of_its_last_activation(decoder, limits):
    assert CustomNetwork.of((nn.Linear(16, 3), decoder)).output_limits(3, (16,)) == limits


@pytest.mark.parametrize(
    "given", [nn.Linear(1, 1), (nn.Linear(1, 1),), [nn.Linear(1, 1)] * 2, ("mlp", "mlp")]
)
def test_anything_but_a_pair_of_modules_is_refused(given):
    with pytest.raises(SettingError, match="or a pair \\(encoder, decoder\\) of torch modules"):
        CustomNetwork.of(given)
