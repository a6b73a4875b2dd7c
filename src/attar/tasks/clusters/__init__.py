"""Clusters: Clusterer, the graph of nearest neighbours, its modes and its spectral embedding."""
