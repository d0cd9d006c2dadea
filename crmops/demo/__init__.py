"""``crmops demo``: the whole promise in one command, on a real CRM with a real database."""
