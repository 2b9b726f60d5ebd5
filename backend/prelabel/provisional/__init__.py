"""Provisional versions: made of a project's accepted labels within seconds, until its first promotion."""
