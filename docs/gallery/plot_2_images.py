"""
Reconstructions and traversals of images
========================================

Which rows come back well and which do not, and what single latent dimensions mean.
"""

import matplotlib.pyplot as plt

import attar

ae = attar.Autoencoder("vae", code_size=8, epochs=25, random_state=0, verbose=False).fit("digits")

# %%
# From the lowest error to the highest. Differences are red where the reconstruction is too bright.
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
attar.plotting.ReconstructionDisplay.from_estimator(ae, "digits", ax=ax)

# %%
# One latent dimension changes, all others stay at their mean. The most important ones are first.
figure, ax = plt.subplots(figsize=(9, 5), layout="constrained")
attar.plotting.TraversalDisplay.from_estimator(ae, ax=ax)
