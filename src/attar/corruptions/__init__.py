"""Corruptions: what is done to the input before encoding, in training only."""

from attar.corruptions.corruption import Corruption, CorruptionModule
from attar.corruptions.masking import Masking
from attar.corruptions.noise import GaussianNoise, SaltAndPepper
from attar.corruptions.patches import Patches

__all__ = [
    "Corruption",
    "CorruptionModule",
    "GaussianNoise",
    "Masking",
    "Patches",
    "SaltAndPepper",
]
