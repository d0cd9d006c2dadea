"""MariaDB: its address, its programs and what a database of it contains."""

from __future__ import annotations

from playbooks.mariadb.link import (
    copy_address,
    copy_link,
    parse_address,
    source_link,
    write_options,
)

__all__ = ["copy_address", "copy_link", "parse_address", "source_link", "write_options"]
