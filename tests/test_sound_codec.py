"""The codec of sound: bytes and back, bitrates, streams, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attar
from attar.codec.clips import WAV, CodedClip, CodedClips
from attar.codec.frames import FrameCoder, cumulative, runs_of
from attar.errors import ArchiveError, DataError, SettingError
from attar.recipes import recipe
from attar.sampling.frames import FrameNetwork, factors_of
from attar.sound_codec import SoundCodec, coded_frames

RATE = 8000


def words(seed, seconds=4.0):
    """Return tones that come and go."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    parts = (np.sin(2 * np.pi * f * t) for f in rng.uniform(150, 2500, 4))
    return (0.1 * sum(parts) * np.sin(2 * np.pi * rng.uniform(1, 3) * t)).astype(np.float32)


@pytest.fixture(scope="module")
def codec():
    small = recipe("speech-codec").replace(
        code__codebook=16, code__stages=4, code__dim=8, network__width=24, sampler__steps=30
    )
    small = small.replace(sampler__hidden=16)
    ae = attar.Autoencoder(small, epochs=3, random_state=0, verbose=False)
    return SoundCodec(ae.fit(attar.Sounds([words(i, 1.2) for i in range(6)], RATE)))


def sounds(*arrays, rate=RATE):
    return attar.Sounds(list(arrays), rate)


def network(seed=0, stages=3, size=5):
    torch.manual_seed(seed)
    found = FrameNetwork(torch.randn(stages, size, 2), hidden=7)
    found.start()
    return found.eval().requires_grad_(False)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 1500), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_symbols_of_frames_come_back(coded, level, seed):
    rng = np.random.default_rng(seed)
    net = network()
    net.factors.copy_(torch.tensor([77.0, 435.0, 256.0, 200.0, 300.0]))
    coder, coded = FrameCoder(net), np.array(coded)
    symbols = rng.integers(0, 5, (len(coded), 3))
    depths = coder.depths(level, symbols[:, 0], coded)
    back, found = coder.decode(coder.encode(symbols, depths), level, coded)
    np.testing.assert_array_equal(found, depths)
    np.testing.assert_array_equal(back, symbols * (np.arange(3) < depths[:, None]))
    assert (depths[coded] >= 1).all()
    assert not depths[~coded].any()
    assert (coder.depths(coder.most, symbols[:, 0], coded)[coded] == 3).all()


def test_loud_frames_have_more_stages():
    firsts, loudness = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([3.0, 3, 1, 1, 2, 2])
    factors = factors_of(firsts, loudness, 4)
    assert factors.argsort().tolist()[-1] == 0
    assert factors[1] == factors[3] == round(256 * 0.3)  # the softest, and one never seen
    assert factors.max() < 256 * 1.7


def test_the_exact_network_is_the_trained_one():
    trained = network().double()
    coder, symbols = FrameCoder(network()), np.random.default_rng(0).integers(0, 5, (30, 3))
    sums = trained.sums(torch.from_numpy(symbols)[None])
    logits = trained.logits(trained.contexts(sums[:, :, 3]), sums, 3)
    wanted = logits.log_softmax(-1).gather(-1, torch.from_numpy(symbols)[None, ..., None])
    bits = -wanted.sum().item() / np.log(2)
    assert coder.bits(symbols, np.full(30, 3)) == pytest.approx(bits, rel=2e-3)


def test_sums_do_not_depend_on_their_order():
    coder, rng = FrameCoder(network()), np.random.default_rng(0)
    x, order = rng.normal(size=(50, 28)), rng.permutation(28)
    near = coder.near
    rounded = np.rint(x * 2**14).clip(-near.limit * 2**14, near.limit * 2**14) / 2**14
    other = near.bias + sum(rounded[:, [i]] * near.weight[i] for i in order)
    np.testing.assert_array_equal(near(x), other)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=40))
def test_frequencies_add_up_and_none_is_zero(logits):
    found = cumulative(np.array([logits]))[0]
    assert found[0] == 0
    assert found[-1] == 1 << 16
    assert (np.diff(found) >= 1).all()


@given(st.integers(256, 768), st.integers(1, 300))
def test_depths_are_two_neighbours_with_the_mean_of_the_level(level, frames):
    depths = FrameCoder(network()).depths(level, np.zeros(frames, int), np.ones(frames, bool))
    assert set(depths) <= {level // 256, -(-level // 256)}
    assert abs(depths.sum() - frames * level / 256) < 1


@given(st.lists(st.booleans(), min_size=1))
def test_runs_give_the_flags_back(flags):
    runs = list(runs_of(np.array(flags)))
    alternating = np.arange(len(runs)) % 2 == 1
    np.testing.assert_array_equal(np.repeat(alternating, runs), flags)


def test_length_and_rate_and_sound_come_back(codec):
    originals = [words(20, 1.03), words(21, 0.017), words(22, 2.0)]
    back = codec.decompress(codec.compress(sounds(*originals)))
    assert [len(clip) for clip in back] == [len(clip) for clip in originals]
    assert back.rate == RATE
    best = codec.model.reconstruct(sounds(originals[2]))[0]
    error, other = (np.abs(x - originals[2]).mean() for x in (back[2], best))
    assert error == pytest.approx(other, rel=0.2)  # frames are at other places


def test_a_beam_finds_nearer_sums_than_one_stage_after_the_other(codec):
    features = torch.randn(200, 8, dtype=torch.double)
    symbols, rest = codec.quantized(features), features
    for stage, book in enumerate(codec.books):
        rest = rest - book[torch.cdist(rest, book).argmin(1)]
        found = codec.summed(symbols[stage], torch.full((200,), stage + 1)) - features
        assert not symbols[stage][:, stage + 1 :].any()
        if stage > 1:
            assert found.square().sum() < rest.square().sum()
        else:
            torch.testing.assert_close(found, -rest)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_bytes_are_those_asked_for(codec, share):
    clip = sounds(words(30), words(31))
    most = codec.coded(clip).kbps
    with pytest.raises(SettingError, match=r"out of range: .* at [\d.]+ to [\d.]+ kbit/s"):
        codec.compress(clip, kbps=100)
    with pytest.raises(SettingError, match="out of range") as refused:
        codec.compress(clip, kbps=1e-3)
    least = float(str(refused.value).split(" at ")[1].split()[0])
    kbps = least + share * (most - least)
    assert 8 * len(codec.compress(clip, kbps)) / 8 / 1000 == pytest.approx(kbps, rel=0.05)  # of 8 s


@pytest.mark.parametrize("stages", [1, 2.3, None])
def test_a_stream_gives_what_the_file_has(codec, stages):
    original = words(40, 1.0)
    original[3000:5000] = 0
    whole = codec.decompress(codec.coded(sounds(original), stages=stages))[0]
    stream = codec.stream(stages)
    blocks = [*original.reshape(-1, codec.frame), np.zeros(codec.frame)]
    streamed = np.concatenate([stream.step(block) for block in blocks])
    assert stream.latency == 0.04
    np.testing.assert_array_equal(streamed[: codec.frame], 0)
    np.testing.assert_allclose(streamed[codec.frame :], whole, atol=1e-6)


def test_a_stream_takes_whole_frames(codec):
    with pytest.raises(DataError, match="takes 160 samples at a time"):
        codec.stream().step(np.zeros(100))
    with pytest.raises(SettingError, match="has 1 to 4 stages, not 9"):
        codec.stream(9)


def test_silence_takes_a_few_bytes_and_stays_silent(codec):
    data = codec.compress(sounds(np.zeros(80_000, np.float32)), kbps=2.4)
    assert len(data) < 50
    np.testing.assert_array_equal(codec.decompress(data)[0], np.zeros(80_000))
    half = words(50)
    half[: len(half) // 2] = 0
    back = codec.decompress(codec.compress(sounds(half)))[0]
    assert not back[: len(half) // 2].any()
    assert len(codec.compress(sounds(half))) < 0.6 * len(codec.compress(sounds(words(50))))


def test_only_frames_of_silent_blocks_have_no_symbols():
    silent = np.array([True, True, False, True])
    np.testing.assert_array_equal(coded_frames(silent), [False, False, True, True, False])


@pytest.mark.parametrize("place", [0, 4, 8, 20, -6, -1])
def test_damage_is_refused(codec, place):
    data = bytearray(codec.compress(sounds(words(60, 0.5))))
    data[place] ^= 4
    with pytest.raises(ArchiveError, match=r"damaged|not a compressed file"):
        codec.decompress(bytes(data))
    with pytest.raises(ArchiveError, match=r"damaged|not a compressed file"):
        codec.decompress(bytes(data[: len(data) // 2]))


def test_a_file_that_contradicts_itself_is_refused(codec):
    clip = CodedClip("", WAV, RATE, 4000, 512, (3,), b"")
    with pytest.raises(ArchiveError, match="other lengths"):
        codec.decompress(CodedClips(codec.fingerprint, [clip]).to_bytes())
    with pytest.raises(ArchiveError, match="another model"):
        codec.decompress(CodedClips("00" * 8, [clip]).to_bytes())


def test_a_model_of_another_recipe_is_refused():
    ae = attar.Autoencoder(epochs=1, verbose=False).fit(sounds(words(0), words(1)))
    with pytest.raises(SettingError, match="speech-codec"):
        SoundCodec(ae)
