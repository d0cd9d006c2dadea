"""How the shipped settings are made.  Nothing here runs when duplicates are looked for."""
