"""How many people a CRM carries: the search, the law behind it, and how sure it is."""
