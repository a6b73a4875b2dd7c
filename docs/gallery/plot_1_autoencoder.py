"""
Losses, errors, and the map of codes
====================================

An autoencoder of handwritten digits: how it was trained, how good it is beside PCA, and what its
code has learned.
"""

import matplotlib.pyplot as plt

import attar

ae = attar.Autoencoder(code_size=8, epochs=25, random_state=0, verbose=False).fit("digits")

# %%
# The weights are those of the best epoch.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
attar.plotting.LossDisplay.from_estimator(ae, ax=axes[0])
attar.plotting.ErrorBySizeDisplay.from_estimator(ae, ax=axes[1])

# %%
# Codes on the plane of their two principal components. Labels are colours, and were not used in
# training.
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
attar.plotting.CodeMapDisplay.from_estimator(ae, "digits", ax=ax)
