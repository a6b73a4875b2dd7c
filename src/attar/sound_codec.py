"""A codec of sound at a chosen bitrate, by a fitted model of frames."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from attar.checks import positive
from attar.codec.clips import CodedClip, CodedClips
from attar.codec.frames import STAGE, Depths, Flags, FrameCoder, runs_of
from attar.codec.rans import Symbols
from attar.compression import model_bytes, model_inside
from attar.data.clips import Clip, Clips, Recording, Sound
from attar.data.recordings import SoundWindows
from attar.data.source import Data
from attar.errors import ArchiveError, DataError, SettingError
from attar.estimator import Autoencoder
from attar.isolation import default_settings, one_thread
from attar.networks.spectral import FrameDecoder, FrameEncoder, delays
from attar.remote import file_at
from attar.sampling.frames import books_of, residual
from attar.storage import written_whole

Samples = NDArray[np.float64]

# The level is the mean number of stages, in so many parts of one.
STEPS = 256

# A bitrate that cannot be had is refused beyond this part of it; one is near enough within less.
TOLERANCE, NEAR_ENOUGH, TRIES = 0.05, 0.01, 12

# So many sums of entries are kept after each stage.
BEAM = 4

# Blocks without a sample beyond this are silence: a level of 16 bits.
SILENCE = 2.0**-15


class SoundCodec:
    """Compression of sound at a chosen bitrate, by a model of the recipe ``speech-codec``.

    ::

        samples ─ encoder ─► frames ─ residual quantization ─► symbols ─ network, coder ─► bytes
                                                    ▲
                              bitrate ─ how many stages a frame has

    One model has all bitrates: a frame has the first stages of its quantization, as many as the
    bitrate allows, and more of them the louder it is. Symbols are the same on every machine: the
    network that says how probable they are is computed exactly. Frames of silence have none.

    Parameters
    ----------
    model : Autoencoder
        Fitted with ``recipe="speech-codec"``.

    Attributes
    ----------
    rate : int
        Samples a second, to which all sound is resampled.
    frame : int
        Samples of a frame.
    latency : float
        Seconds by which a stream is late, its own block included.

    Raises
    ------
    SettingError
        If the model is another.

    Examples
    --------
    >>> import attar
    >>> rng = np.random.default_rng(0)
    >>> tones = [np.sin(rng.uniform(0.1, 1) * np.arange(8000)) / 2 for _ in range(8)]
    >>> recipe = attar.recipes.recipe("speech-codec").replace(sampler__steps=20)
    >>> recipe = recipe.replace(code__codebook=8, network__width=16)
    >>> ae = attar.Autoencoder(recipe, epochs=2, random_state=0).fit(attar.Sounds(tones, 8000))
    >>> codec = SoundCodec(ae)
    >>> data = codec.compress(attar.Sounds(tones[:1], 8000))
    >>> clips = codec.decompress(data)
    >>> len(clips[0]), clips.rate, len(data) < 500
    (8000, 8000, True)
    """

    @default_settings()
    def __init__(self, model: Autoencoder) -> None:
        fitted = model._fitted
        network, kind = fitted.symbol_network, fitted.kind
        if network is None or not isinstance(kind, SoundWindows):
            raise SettingError(
                "The model does not compress sound: fit one with the recipe 'speech-codec'."
            )
        self.model, self.kind = model, kind
        self.fingerprint = fitted.fingerprint[:16]
        whole = deepcopy(fitted.predictor.model).cpu().double().eval()
        encoder, decoder = whole.encoder, whole.decoder
        assert isinstance(encoder, FrameEncoder)
        assert isinstance(decoder, FrameDecoder)
        self.encoder, self.decoder = encoder, decoder
        self.books = books_of(residual(whole.code))
        self.coder = FrameCoder(network)
        scaler = fitted.predictor.preparation.scaler
        self.shift, self.scale = float(scaler.shift.sum()), float(scaler.scale.sum())
        self.rate, self.frame = kind.view.rate, encoder.frame
        self.latency = 2 * self.frame / self.rate

    @property
    def stages(self) -> int:
        """The most stages of a frame."""
        return self.coder.stages

    def compress(self, X: Data, kbps: float | None = None) -> bytes:
        """Return sound as bytes: a compressed file in memory.

        Parameters
        ----------
        X : Sounds, Clips, or path
            At other rates than the model's it is resampled, with a warning.
        kbps : float or None
            Kilobits a second of the whole file; None for the best quality.

        Raises
        ------
        SettingError
            If the sound cannot be coded at so many kilobits; the error says at which.
        DataError, FileError
            If it is no sound.
        """
        return self.coded(X, kbps).to_bytes()

    def compress_file(
        self, X: Data, path: str | Path, kbps: float | None = None, with_model: bool = False
    ) -> CodedClips:
        """Write sound to a compressed file (.atz), which appears whole or not at all.

        Parameters
        ----------
        X : Sounds, Clips, or path
        path : path
        kbps : float or None
        with_model : bool
            Whether the file holds the model too, so that nothing else is needed to read it.
        """
        coded = self.coded(X, kbps)
        if with_model:
            coded = replace(coded, model=model_bytes(self.model))
        with written_whole(file_at(path)) as beside:
            beside.write_bytes(coded.to_bytes())
        return coded

    @default_settings()
    def coded(self, X: Data, kbps: float | None = None, stages: float | None = None) -> CodedClips:
        """Return sound as :meth:`compress` writes it, at a bitrate or a mean number of stages."""
        if kbps is not None:
            kbps = positive("kbps", kbps, "None or ")
        level, clips = self._level(stages), self.kind.sounds(X).read().clips
        with one_thread():
            frames = [self._frames(clip) for clip in clips]
            return self._at(frames, level) if kbps is None else self._near(frames, kbps)

    @default_settings()
    def decompress(self, source: bytes | str | Path | CodedClips) -> Clips:
        """Return the sound of a compressed file or its bytes, at the lengths and rates it had.

        Raises
        ------
        ArchiveError
            If it is damaged, of another model, or no compressed sound.
        """
        coded = source if isinstance(source, CodedClips) else CodedClips.of(source)
        if coded.fingerprint != self.fingerprint:
            raise ArchiveError(
                f"The sound was compressed by another model, of the fingerprint "
                f"{coded.fingerprint[:12]}, than this one, {self.fingerprint[:12]}: give that."
            )
        with one_thread():
            return Clips([self._decoded(clip) for clip in coded.clips], self.rate)

    def stream(self, stages: float | None = None) -> SoundStream:
        """Return a stream that takes and gives a frame of samples at a time.

        Parameters
        ----------
        stages : float or None
            The mean number of stages of a frame; None for all.

        Raises
        ------
        SettingError
            If there are not so many.
        """
        return SoundStream(self, self._level(stages))

    def _level(self, stages: float | None) -> int:
        """Return the level of a mean number of stages; of all, where none is given."""
        if stages is not None and not 1 <= stages <= self.stages:
            raise SettingError(f"A frame has 1 to {self.stages} stages, not {stages}.")
        return self.coder.most if stages in (None, self.stages) else round(stages * STEPS)

    def _frames(self, clip: Clip) -> CodedFrames:
        """Return the symbols of a clip."""
        samples = np.nan_to_num(clip.samples[:, 0]).astype(np.float64)
        blocks = -(-len(samples) // self.frame)
        padded = np.pad(samples, (0, blocks * self.frame - len(samples)))
        silent = np.abs(padded).reshape(blocks, self.frame).max(1) <= SILENCE
        signal = torch.from_numpy((padded - self.shift) / self.scale)
        # Frames are early, so that a stream is late by whole ones.
        with torch.no_grad():
            early = functional.pad(signal, (self.encoder.ahead, 0))[None, None]
            features = self.encoder(early).reshape(-1, self.books.shape[2])
            symbols = self.quantized(features).numpy()
        assert clip.sound is not None
        return CodedFrames(clip.name, clip.sound, silent, symbols)

    def quantized(self, features: Tensor) -> Tensor:
        """Return the symbols of features (t, dim), cut after each stage: (stages, t, stages).

        The best sums of entries are searched for with a beam: the nearest entry is not always on
        the way to the nearest sum. Behind the stage of the cut, symbols are 0.
        """
        rest, dim = features[:, None], features.shape[1]
        chosen, found = torch.zeros(len(rest), 1, 0, dtype=torch.long), []
        for stage, book in enumerate(self.books):
            errors = book.square().sum(1) - 2 * rest @ book.mT + rest.square().sum(2, keepdim=True)
            count = min(BEAM, errors[0].numel())
            count = count if stage else 1  # the first symbol does not depend on the depth
            best = errors.flatten(1).topk(count, largest=False).indices[..., None]
            before, symbols = best // len(book), best % len(book)
            rest = rest.gather(1, before.expand(-1, -1, dim)) - book[symbols[..., 0]]
            chosen = torch.cat([chosen.gather(1, before.expand(-1, -1, stage)), symbols], 2)
            found.append(functional.pad(chosen[:, 0], (0, self.stages - stage - 1)))
        return torch.stack(found)

    def summed(self, symbols: Tensor, depths: Tensor) -> Tensor:
        """Return the sums of the first entries of symbols (t, stages): (t, dim)."""
        used = torch.arange(self.stages) < depths[:, None]
        return (self.books[torch.arange(self.stages), symbols] * used[..., None]).sum(1)

    def _decoded(self, clip: CodedClip) -> Clip:
        length = max(1, round(clip.samples * self.rate / clip.rate))
        flags = np.zeros(len(clip.runs), bool)
        flags[1::2] = True
        silent = np.repeat(flags, clip.runs)
        if len(silent) != -(-length // self.frame) or clip.level > self.coder.most:
            raise ArchiveError("The compressed sound is damaged: its clips have other lengths.")
        symbols, depths = self.coder.decode(clip.data, clip.level, coded_frames(silent))
        with torch.no_grad():
            z = self.summed(torch.from_numpy(symbols), torch.from_numpy(depths))
            pieces = self.decoder.overlapping(z[None])[0].numpy()
        samples = pieces[self.decoder.before + self.encoder.ahead :][: len(silent) * self.frame]
        samples = (samples * self.scale + self.shift).clip(-1, 1)
        samples = (samples.reshape(-1, self.frame) * ~silent[:, None]).reshape(-1)[:length]
        format_, _, encoding = clip.form.partition(" ")
        name = clip.name if Path(clip.name).suffix else f"{clip.name or 'clip'}.wav"
        form = clip.rate, 1, clip.samples, format_, encoding, "float32"
        sound = Recording(name, *form, path=name)
        return Clip(name, samples[:, None].astype(np.float32), 0, length, 0, sound)

    def _at(self, frames: Sequence[CodedFrames], level: int) -> CodedClips:
        several = len(frames) > 1
        clips = []
        for one in frames:
            depths = self.coder.depths(level, one.symbols[0, :, 0], coded_frames(one.silent))
            data = self.coder.encode(one.at(depths), depths)
            name, sound = one.name if several else "", one.sound
            form, runs = f"{sound.format} {sound.encoding}", tuple(runs_of(one.silent))
            clips.append(CodedClip(name, form, sound.rate, sound.samples, level, runs, data))
        return CodedClips(self.fingerprint, clips)

    def _near(self, frames: Sequence[CodedFrames], kbps: float) -> CodedClips:
        """Return the clips at the level whose file is nearest to a bitrate."""
        if all(one.silent.all() for one in frames):
            return self._at(frames, 1)
        most = self.coder.most
        low, high = self._at(frames, 1), None
        # A symbol takes nearly its bits, and a frame as many symbols as the level says.
        bits = 1000 * kbps * self.frame / self.rate / np.log2(self.coder.size)
        level = round(STEPS * bits)
        for _ in range(TRIES):
            level = min(max(level, low.clips[0].level), most)
            tried = self._at(frames, level)
            if abs(tried.kbps - kbps) <= NEAR_ENOUGH * kbps:
                return tried
            if tried.kbps > kbps:
                high = tried
            else:
                low = tried
            if level in (1, most) and (tried is low) == (level == most):
                break
            if high is None:
                level = round(level * max(kbps / low.kbps, 1.05))
                continue
            below, above = low.clips[0].level, high.clips[0].level
            if above - below < 2:
                break
            share = (kbps - low.kbps) / (high.kbps - low.kbps)
            level = round(below + (above - below) * min(max(share, 0.1), 0.9))
        nearest = min((one for one in (low, high) if one), key=lambda one: abs(one.kbps - kbps))
        if abs(nearest.kbps - kbps) > TOLERANCE * kbps:
            least, best = (self._at(frames, level).kbps for level in (1, most))
            raise SettingError(
                f"{kbps:g} kbit/s is out of range: this model codes this sound at {least:.3g} to "
                f"{best:.3g} kbit/s."
            )
        return nearest


@dataclass(frozen=True)
class CodedFrames:
    """The symbols of a clip, cut after each stage, and which of its blocks are silent.

    The samples of a frame are those of a block and of 5/8 of the block before: there is a frame
    more where the last block is longer than 3/8.
    """

    name: str
    sound: Sound
    silent: NDArray[np.bool_]
    symbols: Symbols

    def at(self, depths: Depths) -> Symbols:
        """Return the symbols (t, stages) of frames that have so many stages."""
        return self.symbols[depths - 1, np.arange(len(depths))]


def coded_frames(silent: Flags) -> Flags:
    """Return which frames have symbols: all but those whose blocks are both silent."""
    coded: Flags = ~(np.append(silent, True) & np.append(True, silent))
    return coded


class SoundStream:
    """A codec that takes and gives a frame of samples at a time: the sound that a file would have.

    What it gives is one frame late; with the frame that it takes, the latency is two.

    Parameters
    ----------
    codec : SoundCodec
    level : int
        The mean number of stages of a frame, in 256ths.

    Attributes
    ----------
    latency : float
        In seconds.
    symbols : list of int
        Those of the last frame.
    """

    def __init__(self, codec: SoundCodec, level: int) -> None:
        self.codec, self.level, self.latency = codec, level, codec.latency
        self.encoder, self.decoder = deepcopy(codec.encoder), deepcopy(codec.decoder)
        width = codec.decoder.width
        for delay in (*delays(self.encoder), *delays(self.decoder)):
            delay.past = torch.zeros(1, delay.frames, width, dtype=torch.double)
        held = codec.encoder.seen - codec.frame
        # Before the beginning, the encoder sees zeros.
        self.held = torch.zeros(held, dtype=torch.double)
        self.rest = torch.zeros(codec.decoder.before * 2, dtype=torch.double)
        self.symbols: list[int] = []
        self.frames, self.total, self.silent = 0, 0, True

    @torch.no_grad()
    def step(self, samples: Samples) -> Samples:
        """Return the decoded samples of the frame before this one: (frame,); at first zeros.

        Parameters
        ----------
        samples : array (frame,)
            From -1 to 1, at the model's rate.

        Raises
        ------
        DataError
            If they are not as many as a frame has.
        """
        codec, given = self.codec, np.asarray(samples, np.float64)
        if given.shape != (codec.frame,):
            raise DataError(
                f"A stream takes {codec.frame} samples at a time, not an array of shape "
                f"{given.shape}."
            )
        before, self.silent = self.silent, bool(np.abs(given).max() <= SILENCE)
        self.held = torch.cat([self.held, torch.from_numpy((given - codec.shift) / codec.scale)])
        features = self.encoder.features(self.held[None])[0]
        self.held = self.held[codec.frame :]
        found = codec.quantized(features)
        depth = 0 if before and self.silent else self._depth(found[0, :, 0].numpy())
        symbols = found[depth - 1]
        self.symbols = symbols[0, :depth].tolist()
        z = codec.summed(symbols, torch.tensor([depth]))
        pieces = self.decoder.overlapping(z[None])[0]
        pieces[: len(self.rest)] += self.rest
        self.rest = pieces[codec.frame :]
        self.frames += 1
        if before or self.frames == 1:
            return np.zeros(codec.frame)
        done: Samples = (pieces[: codec.frame].numpy() * codec.scale + codec.shift).clip(-1, 1)
        return done

    def _depth(self, first: Symbols) -> int:
        """Return how many stages the next frame has."""
        before, self.total = (
            self.total,
            self.total + int(self.codec.coder.step(self.level, first)[0]),
        )
        return self.total // STAGE - before // STAGE


def open_sound(path: str | Path, model: Autoencoder | None = None) -> Clips:
    """Return the sound of a compressed file.

    Parameters
    ----------
    path : path
    model : Autoencoder or None
        None where the file holds the model.

    Raises
    ------
    FileError
        If there is no such file.
    ArchiveError
        If it is damaged, needs a model, or is of another one.
    """
    coded = CodedClips.of(path)
    model = model or model_inside(path, coded.model)
    return SoundCodec(model).decompress(coded)
