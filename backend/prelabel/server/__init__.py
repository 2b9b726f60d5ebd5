"""The web server: the ML-backend contract, health and metrics, and how it is started."""
