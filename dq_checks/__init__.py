"""Data-quality audits: how good the CRM's data is, by rule, dimension and owner."""
