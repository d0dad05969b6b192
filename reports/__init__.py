"""From what MLflow holds to verdicts, tables, figures and pages. Never torch, never Ray."""
