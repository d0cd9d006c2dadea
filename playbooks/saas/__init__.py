"""Snapshots of a CRM that nobody else backs up: pulled, checked and pushed through its API."""
