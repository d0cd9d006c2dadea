"""Refuses load that nobody has allowed."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from crmops.errors import UsageError
from crmops.target import Target
from loadtests.settings import Settings
from loadtests.workload import Workload

VENDORS = (
    "salesforce.com", "force.com", "salesforce.mil", "cloudforce.com", "sfcrmproducts.cn",
    "dynamics.com", "dynamics.cn", "hubspot.com", "hubapi.com", "zoho.com", "zoho.com.cn",
    "zoho.eu", "zoho.in", "zohoapis.com", "zohoapis.com.cn", "freshsales.io", "myfreshworks.com",
    "pipedrive.com", "sugarondemand.com", "oraclecloud.com", "fxiaoke.com", "ceshi112.com",
    "xiaoshouyi.com", "xsy.com", "neocrm.com", "ikcrm.com", "weiwenjia.com", "dingtalk.com",
    "feishu.cn", "larksuite.com", "weixin.qq.com", "zendesk.com", "bitrix24.com", "monday.com",
    "insightly.com", "creatio.com", "odoo.com",
)  # fmt: skip
"""Hosts of vendors, whose contracts forbid or ration load tests; below them every host."""


def guard(target: Target, workload: Workload, settings: Settings, confirm: str = "") -> None:
    """Raise UsageError unless this load may be sent to this target."""
    _allowed(target)
    _host(target, settings)
    refuse_proxy(target)
    _production(target, confirm)
    _caps(target, workload)


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _allowed(target: Target) -> None:
    if not target.load.allowed:
        raise UsageError(
            f"target {target.name!r} does not allow load",
            hint=f"Set targets.{target.name}.load.allowed to true once its owner has agreed.",
        )


def _host(target: Target, settings: Settings) -> None:
    host = (urlsplit(target.url).hostname or "").rstrip(".").lower()
    vendor = next((each for each in VENDORS if host == each or host.endswith(f".{each}")), "")
    if vendor and not target.load.permission.strip():
        raise UsageError(
            f"{host} belongs to a vendor ({vendor}), and no written permission is given",
            hint=f"Ask the vendor, then say in targets.{target.name}.load.permission who allowed "
            "it and where that is written.",
        )
    if not is_here(host) and host not in settings.allowed_hosts:
        raise UsageError(
            f"{host} is not this machine and not in load.allowed_hosts",
            hint="Add it to load.allowed_hosts if it is the system you mean to put under load.",
        )


def refuse_proxy(target: Target) -> None:
    """A proxy would be what is measured; the clients of a load test know none.

    Raises UsageError where this machine's environment asks for one.
    """
    url = urlsplit(target.url)
    host = url.hostname or ""
    proxies = getproxies()
    scheme = next((each for each in (url.scheme, "all") if each in proxies), "")
    if not scheme or is_here(host) or proxy_bypass(url.netloc):
        return
    raise UsageError(
        f"{scheme.upper()}_PROXY wants a proxy between here and {host}, and load goes through none",
        hint=f"Unset it, or add {host} to NO_PROXY, where the CRM can be reached directly.",
    )


def _production(target: Target, confirm: str) -> None:
    if target.environment != "production" or confirm == target.name:
        return
    if confirm:
        raise UsageError(
            f"--confirm says {confirm!r}, the production target is {target.name!r}",
            hint="Type the name of the target that you mean to put under load.",
        )
    raise UsageError(
        f"target {target.name!r} is production",
        hint=f"Type its name to go on: --confirm {target.name}.",
    )


def _caps(target: Target, workload: Workload) -> None:
    cap = target.load
    where = f"targets.{target.name}.load"
    if workload.users > cap.max_users:
        raise UsageError(
            f"{workload.users} people are more than target {target.name!r} allows "
            f"({cap.max_users})",
            hint=f"Ask for fewer with --users, or raise {where}.max_users.",
        )
    if workload.seconds > cap.max_duration:
        raise UsageError(
            f"{workload.seconds:g} s are longer than target {target.name!r} allows "
            f"({cap.max_duration:g} s)",
            hint=f"Shorten it with --duration, or raise {where}.max_duration.",
        )
    rate = max((phase.rate or 0.0) for phase in workload.phases)
    if rate > cap.max_rate:
        raise UsageError(
            f"{rate:g} arrivals a second are more than target {target.name!r} allows "
            f"({cap.max_rate:g} requests)",
            hint=f"Lower the workload's rates, or raise {where}.max_rate.",
        )
