"""Hostile input and faults: what each part of the campaign tries, and how it tells that prelabel held."""
