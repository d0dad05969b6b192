"""Reports, bundles and prices, made from the results in MLflow."""
