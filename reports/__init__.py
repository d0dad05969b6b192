"""Verdicts, tables, figures and pages from the data in MLflow. The package never imports torch or Ray."""
