"""One trial on one worker group. Knows torch; knows neither Ray nor MLflow."""
