"""The outbox, the recorder and what reports read: the only rooms that import MLflow."""
