"""The stages of the playbooks, one file each, with ``run(job, report)``."""
