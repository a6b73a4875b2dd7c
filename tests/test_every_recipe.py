"""One checklist for every row of the table."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import attar
from attar.codes import NoCode
from attar.data.batches import Conditioned, Held, Selection
from attar.likelihoods import Bernoulli, LearnedGaussian
from attar.networks import Mlp
from attar.recipes import TABLE, recipe
from attar.records import Batch
from attar.training import OneCycle, Optimizer
from attar.training.loop import Training, TrainingSettings

SIZE = 16
ROWS = 250
NETWORK = Mlp((32,), "silu")

# Recipes with a network of their own take other data than images.
pytestmark = pytest.mark.parametrize(
    "name", [name for name, row in TABLE.items() if row.recipe.network is None]
)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy((load_digits().images[:ROWS, None] / 16).astype(np.float32))


@pytest.fixture(scope="module")
def labels():
    return load_digits().target[:ROWS]


def condition_of(name, labels):
    """Return the condition of rows, where the recipe has one."""
    if recipe(name).condition is None:
        return None
    return torch.nn.functional.one_hot(torch.from_numpy(labels), 10).float()


def built(name, likelihood=None, code_size=SIZE):
    """Return the recipe's objective for 8 x 8 images."""
    torch.manual_seed(5)
    chosen = recipe(name)
    likelihood = likelihood or chosen.likelihood or Bernoulli()
    size = 0 if chosen.condition is None else 10
    return chosen.build((1, 8, 8), code_size, NETWORK, likelihood, condition_size=size)


def with_short_sampler(name):
    """Return the recipe, with a sampler that is trained for 5 steps."""
    chosen = recipe(name)
    trained = chosen.sampler is not None and "steps" in chosen.sampler.get_params()
    return chosen.replace(sampler__steps=5) if trained else chosen


def batch_of(images, name, labels):
    return Batch(images, images, condition=condition_of(name, labels))


def run(name, images, labels, epochs):
    objective = built(name)
    held, condition = Held(images, lambda x: x), condition_of(name, labels)
    if condition is not None:
        held = Conditioned(held, condition)
    every = torch.arange(len(images))
    training = Training(
        objective,
        Selection(held, every, 40),
        Selection(held, every, len(images)),
        None,
        TrainingSettings(epochs, 40, Optimizer("adam"), OneCycle(), 0.01),
    )
    return objective, training.run(), training


@pytest.fixture(scope="module")
def trained(images, labels):
    results = {}

    def once(name):
        if name not in results:
            results[name] = run(name, images, labels, 6)
        return results[name]

    return once


def test_the_loss_falls(name, images, labels, trained):
    before = built(name).measure([batch_of(images, name, labels)])
    history = trained(name)[1]
    assert history[-1].loss < 0.8 * before["loss"]
    assert history[-1].distortion < 0.85 * before["distortion"]


def test_equal_seeds_give_equal_weights(name, images, labels):
    few = images[:80], labels[:80]
    first, second = (run(name, *few, 1)[0].model.state_dict() for _ in range(2))
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key])


def test_every_parameter_gets_a_gradient(name, images, labels):
    objective = built(name, recipe(name).likelihood or LearnedGaussian())
    batch = batch_of(images, name, labels)
    objective.model.on_data(batch)
    objective.progress = 0.5
    # Layers that start at zero hide those before them from the first step.
    for parameter in objective.model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    objective.backward(objective.trace(batch))
    model = objective.model
    # Without a code there is nothing for an encoder to learn.
    used = model.likelihood if isinstance(recipe(name).code, NoCode) else model
    for parameter in used.parameters():
        assert parameter.grad is not None
        assert parameter.grad.any()
    for critic in objective.critics.values():
        assert all(parameter.grad is None for parameter in critic.parameters())


def test_a_critics_gradient_does_not_reach_the_model(name, images, labels):
    objective = built(name)
    trace = objective.trace(batch_of(images, name, labels))
    for critic in objective.critics.values():
        critic.loss(trace).backward()
        assert all(parameter.grad.any() for parameter in critic.parameters())
    assert all(parameter.grad is None for parameter in objective.model.parameters())


def test_codes_are_deterministic_and_valid_and_decode_into_range(name, images, labels, trained):
    model, condition = trained(name)[0].model, condition_of(name, labels)
    with torch.no_grad():
        z = model.encode(images, condition=condition)
        assert z.shape == (ROWS, SIZE)
        assert torch.equal(model.encode(images, condition=condition), z)
        assert torch.equal(model.code.constrain(z), z)
        anything = model.code.constrain(5 * torch.randn(50, SIZE))
        decoded = model.decode(anything, None if condition is None else condition[:50])
    assert decoded.isfinite().all()
    if recipe(name).likelihood is None:
        assert decoded.min() >= 0
        assert decoded.max() <= 1


def test_a_row_does_not_depend_on_its_neighbours(name, images, labels, trained):
    model, condition = trained(name)[0].model, condition_of(name, labels)
    some = None if condition is None else condition[7:10]
    with torch.no_grad():
        alone = model.encode(images[7:10], condition=some)
        among = model.encode(images, condition=condition)[7:10]
    torch.testing.assert_close(alone, among, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_loss_is_right(name, images, labels, trained):
    objective = copy.copy(trained(name)[0])
    model = objective.model = copy.deepcopy(objective.model).double().eval()
    condition = condition_of(name, labels)
    few = None if condition is None else condition[:3].double()
    x = images[:3].double()
    batch = Batch(x, x, condition=few)
    noise = torch.randn(objective.bound.draws, 3, model.noise_size, dtype=torch.float64)
    # Before the decoder, straight-through estimates have another gradient than the loss.
    weights = list(model.decoder.parameters())
    start = [weight.detach().clone() for weight in weights]
    direction = [torch.randn_like(weight) for weight in weights]

    def loss(step):
        with torch.no_grad():
            for weight, at, along in zip(weights, start, direction, strict=True):
                weight.copy_(at + step * along)
        trace = model(batch, noise)
        terms = objective.bound.terms(trace.log_likelihood, trace.coded, objective.beta, 1.0)
        return torch.stack(list(terms.values())).sum()

    slopes = torch.autograd.grad(loss(0), weights)
    slope = sum((one * along).sum() for one, along in zip(slopes, direction, strict=True))
    rise = (loss(1e-6) - loss(-1e-6)) / 2e-6
    assert slope.item() == pytest.approx(rise.item(), rel=1e-5, abs=1e-6)


def test_a_fitted_model_is_loaded_from_its_file_and_samples_images(name, labels, tmp_path):
    rows = load_digits().images[:100].astype(np.uint8) * 15
    given = {} if recipe(name).condition is None else {"condition": labels[:100]}
    ae = attar.Autoencoder(
        with_short_sampler(name), SIZE, epochs=1, network=NETWORK, random_state=0, verbose=False
    )
    ae.fit(rows, **given)
    ae.save(tmp_path / "m.attar")
    loaded = attar.load(tmp_path / "m.attar")
    np.testing.assert_array_equal(loaded.transform(rows, **given), ae.transform(rows, **given))
    np.testing.assert_array_equal(
        loaded.score_samples(rows[:20], **{k: v[:20] for k, v in given.items()}),
        ae.score_samples(rows[:20], **{k: v[:20] for k, v in given.items()}),
    )
    some = {k: v[:4] for k, v in given.items()}
    paths = ae.interpolate(rows[:4], rows[:4], 3, **some).reshape(4, 3, 8, 8)
    reconstructed = ae.reconstruct(rows[:4], **some)
    np.testing.assert_allclose(paths.astype(int), reconstructed[:, None].repeat(3, 1), atol=1)
    one = {k: v[:1] for k, v in given.items()}
    sampled = ae.sample(6, random_state=1, **one)
    np.testing.assert_array_equal(loaded.sample(6, random_state=1, **one), sampled)
    assert sampled.shape == (6, 8, 8)
    assert sampled.dtype == np.uint8
    assert len(np.unique(sampled, axis=0)) > 1


def test_it_says_what_it_is_and_where_it_was_published(name):
    row = TABLE[name]
    assert row.summary.endswith(".")
    assert "\n" not in row.summary
    assert any(str(year) in row.citation for year in range(1980, 2027))
