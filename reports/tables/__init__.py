"""The tables of a report, and the computations behind them."""
