"""Reconciling the CRM with ERP, finance or ticketing: what is lost, extra, late or different."""
