"""Statistics of steps, FLOPs, peaks and device readings. Knows neither Ray nor MLflow."""
