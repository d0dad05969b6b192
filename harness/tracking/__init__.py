"""The outbox, the recorder and the results that reports read: the only packages that import MLflow."""
