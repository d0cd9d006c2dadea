"""A MariaDB server of the tests' own: on a socket in a temporary directory, never as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from crmops.binaries import need_binary, tool_environment

_BECOME = """
import os, sys
from pathlib import Path
from crmops.privileges import drop_privileges
drop_privileges([Path(sys.argv[1])], inherit=True, warn=lambda text: None)
os.execv(sys.argv[2], sys.argv[2:])
"""
_ROOT = Path(__file__).resolve().parents[2]
_WAIT_SECONDS = 60.0
_SMALL = (
    "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--performance-schema=off",
)  # fmt: skip


class MariaServer:
    """Runs until ``stop``; its superuser is root without a password, on the socket."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="crmops-maria-"))
        self.socket = self.home / "s"
        self._base = need_binary("mariadbd").resolve().parents[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the data directory, start the server, and wait until it answers."""
        common = [f"--datadir={self.home / 'data'}", f"--basedir={self._base}", *_SMALL]
        install = [str(need_binary("mariadb_install_db")), "--no-defaults", *common]
        install += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(
            self._command(install), check=True, capture_output=True, timeout=120, env=_env()
        )
        serve = [str(need_binary("mariadbd")), "--no-defaults", *common, "--skip-networking"]
        serve += [f"--socket={self.socket}", f"--pid-file={self.home / 'pid'}"]
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(serve), stdout=log, stderr=log, env=_env()
            )
        until = time.monotonic() + _WAIT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                text = (self.home / "log").read_text(errors="replace")
                raise RuntimeError(f"MariaDB did not start:\n{text[-2000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as knock:
            try:
                knock.connect(str(self.socket))
            except OSError:
                return False
            return bool(knock.recv(1))  # the server speaks first

    def stop(self) -> None:
        """Stop the server by its pid and remove everything."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def connect(self, database: str | None = None) -> Any:
        """A connection as the superuser."""
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, charset="utf8mb4",
            autocommit=True,
        )  # fmt: skip

    def do(self, *statements: str, database: str | None = None) -> None:
        """Run statements as the superuser."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for each in statements:
                    cursor.execute(each)
        finally:
            connection.close()

    def url(self, database: str, user: str, password: str = "", scheme: str = "mysql") -> str:
        """The address of a database as a user sees it."""
        account = f"{quote(user)}:{quote(password)}" if password else quote(user)
        return f"{scheme}+pymysql://{account}@localhost/{database}?unix_socket={self.socket}"

    def _command(self, command: list[str]) -> list[str]:
        return [sys.executable, "-c", _BECOME, str(self.home), *command]


def _env() -> dict[str, str]:
    return {**os.environ, **tool_environment(), "PYTHONPATH": str(_ROOT)}
