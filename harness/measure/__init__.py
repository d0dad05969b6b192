"""Statistics of steps, FLOPs, peaks and device readings. They use neither Ray nor MLflow."""
