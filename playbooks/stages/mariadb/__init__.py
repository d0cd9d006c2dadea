"""The stages that are other ones for MariaDB; the rest are those of every engine."""
