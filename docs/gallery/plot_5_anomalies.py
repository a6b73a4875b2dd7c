"""
Anomaly scores and maps
=======================

A detector of images: how odd new ones are beside those of the fit, and where.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import attar

images = load_digits().images
new = images[400:600].copy()
new[::12, 2:5, 3:6] = 16 - new[::12, 2:5, 3:6]  # a square is inverted
detector = attar.AnomalyDetector(random_state=0).fit(images[:400])

# %%
# Scores beyond the limit are flagged: 1% of usual images are.
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
attar.plotting.AnomalyScoreDisplay.from_estimator(detector, new, ax=ax)

# %%
# The oddest images, what was expected of their pixels, and where they are odd.
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
attar.plotting.AnomalyMapDisplay.from_estimator(detector, new, ax=ax)
