"""The load generator: the only place where locust and gevent are imported, its own process."""
