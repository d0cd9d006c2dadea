"""A workload like the customer's own day, fitted from an access log."""
