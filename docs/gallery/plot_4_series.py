"""
Series: reconstructions, forecasts, gaps
========================================

Two channels of a machine, by hour: windows as an autoencoder sees them, the next two days, and a
gap that is filled.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import attar

rng, steps = np.random.default_rng(0), np.arange(24 * 40)
day = 2 * np.pi * steps / 24
table = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=len(steps), freq="h"),
        "load": 10 + np.sin(day) + 0.4 * np.sin(day / 7) + rng.normal(0, 0.12, len(steps)),
        "heat": 30 + 3 * np.cos(day) + rng.normal(0, 0.3, len(steps)),
    }
)
series = attar.Series(table, time="time")

# %%
windows = attar.Series(table, time="time", window=24)
ae = attar.Autoencoder(code_size=3, epochs=10, random_state=0, verbose=False).fit(windows)
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
attar.plotting.ReconstructionDisplay.from_estimator(ae, table, most=5, ax=ax)

# %%
# A forecast with prediction intervals of 50, 80 and 95%.
forecaster = attar.Forecaster(horizon=48).fit(series)
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
attar.plotting.ForecastDisplay.from_estimator(forecaster, channel="load", ax=ax)

# %%
# Missing steps, filled from both sides and from the other channel, with intervals of 90%.
gaps = table.copy()
gaps.loc[500:530, "load"] = np.nan
holes = attar.Series(gaps, time="time")
imputer = attar.Imputer(random_state=0).fit(holes)
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
attar.plotting.ImputationDisplay.from_estimator(imputer, holes, ax=ax)
