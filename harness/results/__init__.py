"""Reports, bundles and prices: what is made of the results in MLflow."""
