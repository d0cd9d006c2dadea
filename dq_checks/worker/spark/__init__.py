"""Audits on Spark: its SQL spoken through SQLAlchemy, so that rules are compiled but once."""
