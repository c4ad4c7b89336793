"""Trackers of trainings, such as MLflow and TensorBoard."""
