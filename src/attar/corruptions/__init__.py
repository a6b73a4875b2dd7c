"""Corruptions: what is done to the input in training; the target is the clean row."""

from attar.corruptions.augmentations import Augmentation, Distortion
from attar.corruptions.base import Corrupted, Corruption, CorruptionModule, Shrinkage
from attar.corruptions.masking import Masking, Patches
from attar.corruptions.noise import GaussianNoise, SaltAndPepper
from attar.corruptions.sounds import SpectrogramAugmentation, Splicing
from attar.corruptions.tables import SwapNoise

__all__ = [
    "Augmentation",
    "Corrupted",
    "Corruption",
    "CorruptionModule",
    "Distortion",
    "GaussianNoise",
    "Masking",
    "Patches",
    "SaltAndPepper",
    "Shrinkage",
    "SpectrogramAugmentation",
    "Splicing",
    "SwapNoise",
]
