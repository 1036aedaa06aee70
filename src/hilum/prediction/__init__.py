"""Prediction: any number of radiographs in, a table out that survives a kill.

A Prediction is what is said of one radiograph; rows of CSV, JSON lines and Parquet are views.
"""

__all__ = ["journal", "on_ray", "parts", "predict", "sources", "stream", "table"]
