"""
Reconstructions and traversals of tables
========================================

Cells are prepared values: numbers in standard deviations, categories as their indicators.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes

import attar

frame = load_diabetes(as_frame=True, scaled=False).data
frame["sex"] = frame["sex"].map({1: "male", 2: "female"})
ae = attar.Autoencoder(code_size=5, epochs=30, random_state=0, verbose=False).fit(frame)

# %%
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
attar.plotting.ReconstructionDisplay.from_estimator(ae, frame, ax=ax)

# %%
# By how much columns change along a latent dimension.
figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
attar.plotting.TraversalDisplay.from_estimator(ae, dimensions=3, ax=ax)

# %%
# Without labels, colours are the column that the map explains best.
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
attar.plotting.CodeMapDisplay.from_estimator(ae, frame, ax=ax)
