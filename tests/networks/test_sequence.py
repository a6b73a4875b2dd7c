import math
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attar import SettingError
from attar.networks import Gru, Tcn, Transformer
from attar.networks.mlp import Shortcut
from attar.networks.sequence import FromPatches, ToPatches

EVERY = [
    Tcn((4, 6)),
    Tcn((3,), kernel=5, activation="tanh"),
    Gru(5, patch=4),
    Gru(4, layers=2, patch=1),
    Transformer(8, heads=2, layers=2, patch=4),
    Transformer(6, heads=3, layers=1, patch=1),
]
SHAPE = (3, 13)

each = pytest.mark.parametrize("network", EVERY, ids=str)


def pair(network, shape=SHAPE, width=5):
    return network.encoder(shape, width), network.decoder(width, shape)


def moved(module, by=0.3):
    """Return the module with weights away from its start, where much is zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module


@settings(max_examples=60)
@given(
    network=st.sampled_from(EVERY),
    channels=st.integers(1, 4),
    time=st.integers(1, 40),
    width=st.integers(1, 5),
)
def test_series_of_any_length_are_reconstructed_in_it(network, channels, time, width):
    encoder = moved(network.encoder((2 * channels, time), width))  # with mask channels
    decoder = moved(network.decoder(width, (channels, time)))
    x = torch.randn(2, 2 * channels, time)
    features = encoder(x)
    assert features.shape == (2, width)
    assert decoder(features).shape == (2, channels, time)
    # Each series by itself, whatever its batch.
    torch.testing.assert_close(encoder(x[1:]), features[1:])
    torch.testing.assert_close(decoder(features[1:]), decoder(features)[1:])


@each
@pytest.mark.parametrize("shape", [SHAPE, (2, 1), (1, 24)])
def test_it_begins_as_a_linear_map(network, shape):
    share = torch.rand(4, 1, dtype=torch.float64)
    encoder, decoder = (module.double() for module in pair(network, shape))
    x, y = torch.randn(2, 4, *shape, dtype=torch.float64)
    between = torch.lerp(x, y, share[..., None])
    torch.testing.assert_close(encoder(between), torch.lerp(encoder(x), encoder(y), share))
    v, w = torch.randn(2, 4, 5, dtype=torch.float64)
    between, share = torch.lerp(v, w, share), share[..., None]
    torch.testing.assert_close(decoder(between), torch.lerp(decoder(v), decoder(w), share))


@each
def test_a_linear_map_can_be_all_that_principal_components_are(network):
    # Both initial maps have the rank of the code.
    encoder, decoder = pair(network)
    encoding = torch.autograd.functional.jacobian(lambda x: encoder(x[None])[0], torch.zeros(SHAPE))
    decoding = torch.autograd.functional.jacobian(lambda z: decoder(z[None])[0], torch.zeros(5))
    assert torch.linalg.matrix_rank(encoding.flatten(1)) == 5
    assert torch.linalg.matrix_rank(decoding.flatten(0, 1)) == 5


@each
def test_a_gradient_reaches_every_parameter_and_every_cell(network):
    x, z = torch.randn(8, *SHAPE, requires_grad=True), torch.randn(8, 5, requires_grad=True)
    for module, given_in in zip(pair(network), (x, z), strict=True):
        moved(module)(given_in).square().sum().backward()
        assert given_in.grad.ne(0).all()
        assert all(p.grad is not None and p.grad.any() for p in module.parameters())


@each
def test_a_row_does_not_depend_on_its_neighbours(network):
    x, z = torch.randn(4, *SHAPE).double(), torch.randn(4, 5).double()
    for module, given_in in zip(pair(network), (x, z), strict=True):
        module = moved(module).double()
        torch.testing.assert_close(module(given_in)[1:2], module(given_in[1:2]))


@each
def test_equal_seeds_make_equal_weights(network):
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        weights.append([*pair(network)[0].parameters(), *pair(network)[1].parameters()])
    for one, other in zip(*weights, strict=True):
        assert torch.equal(one, other)


@each
def test_double_precision_and_evaluation_change_digits_only(network):
    encoder, decoder = (moved(module) for module in pair(network))
    x = torch.randn(4, *SHAPE)
    trained = decoder(encoder(x))
    exact_encoder, exact_decoder = deepcopy(encoder).double(), deepcopy(decoder).double()
    encoder.eval()
    decoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(decoder(encoder(x)), trained)
        exact = exact_decoder(exact_encoder(x.double()))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(trained.double(), exact, rtol=1e-5, atol=1e-5)


@each
def test_second_derivatives_are_there_for_penalties_of_slopes(network):
    encoder = moved(network.encoder((1, 5), 2)).double()
    x = torch.randn(1, 1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(encoder, x)


def waves(rows):
    """Return sinusoids of one to three periods in 32 steps, from any phase: (rows, 1, 32)."""
    frequency = 1 + 2 * torch.rand(rows, 1, 1)
    phase = 2 * math.pi * torch.rand(rows, 1, 1)
    return torch.sin(2 * math.pi * frequency * torch.arange(32) / 32 + phase)


@pytest.mark.parametrize(
    "network",
    [Tcn((16, 32)), Gru(32, patch=4), Transformer(32, heads=4, layers=1, patch=4)],
    ids=lambda network: network.name,
)
def test_three_dimensions_encode_sinusoids_better_than_four_principal_components(network):
    x, new = waves(512), waves(256)
    mean = x.flatten(1).mean(0)
    axes = torch.linalg.svd(x.flatten(1) - mean, full_matrices=False)[2][:4]
    rest = new.flatten(1) - mean
    principal = (rest - rest @ axes.T @ axes).square().mean()
    encoder, decoder = pair(network, (1, 32), 3)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 0.005)
    for _ in range(200):
        optimizer.zero_grad()
        batch = x[torch.randint(len(x), (64,))]
        (decoder(encoder(batch)) - batch).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert (decoder(encoder(new)) - new).square().mean() < principal


class TestTcn:
    @pytest.mark.parametrize("kernel", [1, 3, 5])
    @pytest.mark.parametrize("blocks", [1, 2, 3])
    def test_the_receptive_field_is_as_documented_without_holes(self, kernel, blocks):
        encoder = Tcn((1,) * blocks, kernel, "identity").encoder((1, 256), 1)
        for parameter in encoder.parameters():
            nn.init.ones_(parameter)  # so that no two paths cancel
        x = torch.zeros(1, 1, 256, requires_grad=True)
        position, stride = 128 // 2**blocks, 2**blocks
        encoder[:blocks](x)[0, 0, position].backward()
        seen = x.grad[0, 0].nonzero().flatten() - position * stride
        reach = (kernel - 1) * (4**blocks - 1) // 3
        assert seen.tolist() == list(range(-reach, reach + 1))

    def test_each_block_halves_the_time_rounding_up(self):
        encoder = Tcn((2, 3, 4)).encoder((1, 21), 5)
        x, sizes = torch.randn(1, 1, 21), []
        for layer in encoder:
            x = layer(x)
            if isinstance(layer, Shortcut):
                sizes.append(tuple(x.shape[1:]))
        assert sizes == [(2, 11), (3, 6), (4, 3)]

    def test_a_series_moved_by_whole_strides_moves_the_maps(self):
        blocks = moved(Tcn((4, 6)).encoder((1, 128), 5)).double()[:2]
        x = torch.randn(1, 1, 128, dtype=torch.float64)
        # Away from the ends, where the zeros beyond them do not move along.
        there, here = blocks(x.roll(12, 2))[..., 8:-5], blocks(x)[..., 5:-8]
        torch.testing.assert_close(there, here)

    def test_without_blocks_it_is_a_linear_map(self):
        encoder, decoder = pair(Tcn(()))
        weight, bias = encoder.parameters()
        x, z = torch.randn(4, *SHAPE), torch.randn(4, 5)
        torch.testing.assert_close(encoder(x), x.flatten(1) @ weight.T + bias)
        weight, bias = decoder.parameters()
        torch.testing.assert_close(decoder(z), (z @ weight.T + bias).reshape(4, *SHAPE))

    def test_dropout_silences_whole_maps_in_training_and_none_afterwards(self):
        encoder = Tcn((64,), dropout=0.5).encoder((1, 32), 3)
        hidden = encoder[0].body[:-1](torch.randn(50, 1, 32))
        silent = (hidden == 0).all(2)
        assert silent.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 3200**0.5)
        encoder.eval()
        x = torch.randn(5, 1, 32)
        assert torch.equal(encoder(x), encoder(x))

    def test_an_even_kernel_is_refused(self):
        with pytest.raises(SettingError, match="kernel of the network 'tcn' must be odd"):
            Tcn(kernel=4).encoder(SHAPE, 3)


class TestGru:
    def test_states_are_those_of_the_papers_equations(self):
        encoder = moved(Gru(4, patch=1).encoder((2, 6), 3)).double()
        gru = encoder.body[1].gru
        x = torch.randn(5, 2, 6, dtype=torch.float64)
        states = []
        for direction, steps in (("", range(6)), ("_reverse", reversed(range(6)))):
            w, u, b, c = (
                getattr(gru, f"{name}_l0{direction}").chunk(3)
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h = torch.zeros(5, 4, dtype=torch.float64)
            for t in steps:
                r, z = (
                    torch.sigmoid(x[:, :, t] @ w[i].T + b[i] + h @ u[i].T + c[i]) for i in (0, 1)
                )
                n = torch.tanh(x[:, :, t] @ w[2].T + b[2] + r * (h @ u[2].T + c[2]))
                h = (1 - z) * n + z * h
            states.append(h)
        torch.testing.assert_close(encoder.body[:2](x), torch.cat(states, 1))

    def test_the_decoder_is_causal(self):
        body = moved(Gru(4, patch=2).decoder(3, (2, 11))).body
        z = torch.randn(5, 3)
        before = body(z)
        with torch.no_grad():
            body[2].weight[3] += 1
        changed = (body(z) != before).any(1).any(0)
        assert changed.tolist() == [False] * 6 + [True] * 5

    def test_recurrent_weights_begin_orthogonal_and_biases_at_zero(self):
        gru = Gru(16, layers=2).encoder(SHAPE, 3).body[1].gru
        for name, weight in gru.named_parameters():
            if name.startswith("bias"):
                assert not weight.any()
            elif name.startswith("weight_hh"):
                for gate in weight.chunk(3):
                    torch.testing.assert_close(gate @ gate.T, torch.eye(16), rtol=0, atol=1e-5)


class TestTransformer:
    def test_layers_give_each_token_what_the_papers_equations_say(self):
        encoder = moved(Transformer(6, heads=2, layers=1, patch=2).encoder((2, 7), 3)).double()
        _, _, _, attention, *_ = encoder
        (layer,) = attention.layers
        x = torch.randn(5, 4, 6, dtype=torch.float64)
        y = layer.norm1(x)
        weights, biases = layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias
        # Two heads of three dimensions each: (rows, heads, positions, 3).
        q, k, v = (
            (y @ w.T + b).reshape(5, 4, 2, 3).transpose(1, 2)
            for w, b in zip(weights.chunk(3), biases.chunk(3), strict=True)
        )
        heads = (q @ k.transpose(2, 3) / math.sqrt(3)).softmax(3) @ v
        x_and = x + layer.self_attn.out_proj(heads.transpose(1, 2).reshape(5, 4, 6))
        inner = nn.functional.gelu(layer.linear1(layer.norm2(x_and)))
        torch.testing.assert_close(attention(x), x_and + layer.linear2(inner))

    def test_attention_is_equivariant_to_the_order_of_tokens(self):
        encoder = moved(Transformer(8, heads=2, layers=2, patch=2).encoder((1, 12), 3)).double()
        x = torch.randn(5, 6, 8, dtype=torch.float64)
        order = torch.randperm(6)
        attention = encoder[3]
        torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])

    def test_a_width_that_is_no_multiple_of_the_heads_is_refused(self):
        with pytest.raises(SettingError, match=r"width .* must be a multiple of its 3 heads"):
            Transformer(64, heads=3).decoder(3, SHAPE)


@given(channels=st.integers(1, 4), time=st.integers(1, 20), patch=st.integers(1, 9))
def test_patches_hold_the_channels_of_their_steps_and_join_again(channels, time, patch):
    x = torch.randn(3, channels, time)
    patches = ToPatches(patch)(x)
    assert patches.shape == (3, math.ceil(time / patch), channels * patch)
    for i, steps in enumerate(x.split(patch, dim=2)):
        own = patches[:, i].reshape(3, channels, patch)
        assert torch.equal(own[..., : steps.shape[2]], steps)
        assert not own[..., steps.shape[2] :].any()
    assert torch.equal(FromPatches(channels, time)(patches), x)


@pytest.mark.parametrize("network", [Tcn(), Gru(), Transformer()], ids=lambda part: part.name)
class TestRefusals:
    @pytest.mark.parametrize("shape", [(6,), (1, 8, 8)])
    def test_rows_that_are_no_series(self, network, shape):
        for build in (lambda: network.encoder(shape, 3), lambda: network.decoder(3, shape)):
            with pytest.raises(SettingError) as error:
                build()
            assert str(error.value) == (
                f"The network {network.name!r} needs series (channels, time), but a row of this "
                f"data has shape {shape}: use 'mlp'."
            )

    @pytest.mark.parametrize("wrong", [0, -1, 2.5, "9"])
    def test_settings_that_are_no_positive_integers(self, network, wrong):
        for setting, value in network.get_params().items():
            if isinstance(value, int | tuple):
                bad = network.replace(
                    **{setting: (8, wrong) if isinstance(value, tuple) else wrong}
                )
                with pytest.raises(
                    SettingError, match=f"he {setting} of .* must be an integer above 0"
                ):
                    bad.encoder(SHAPE, 3)
                with pytest.raises(
                    SettingError, match=f"he {setting} of .* must be an integer above 0"
                ):
                    bad.decoder(3, SHAPE)
