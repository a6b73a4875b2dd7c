"""
Clusters, and probabilities of classes
======================================

Groups of wines that a clusterer finds without labels, and how far the probabilities of a classifier
with few labels are to be trusted.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

import attar

X, y = load_wine(return_X_y=True, as_frame=True)

# %%
clusterer = attar.Clusterer(random_state=0).fit(X)
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
attar.plotting.ClusterDisplay.from_estimator(clusterer, X, ax=ax)

# %%
# Thirty labels of 178: points on the diagonal are calibrated, and the larger, the more predictions
# they hold.
few = np.where(np.arange(len(y)) % 6 == 0, y, -1)
classifier = attar.Classifier(epochs=10, random_state=0).fit(X, few)
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
attar.plotting.ReliabilityDisplay.from_estimator(classifier, X[few < 0], y[few < 0], ax=ax)
