"""Which column of a file is which field: by heading, or as the person says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crmops.errors import UsageError
from crmops.tables import plain_heading

Entity = Literal["contact", "account"]
ENTITIES: tuple[Entity, ...] = ("contact", "account")

_SHARED: Mapping[str, tuple[str, ...]] = {
    "phone": (
        "phone", "telephone", "phone number", "tel", "telephone number", "business phone",
        "work phone", "office phone", "main phone", "home phone", "landline",
        "电话", "座机", "联系电话", "固定电话", "办公电话", "公司电话", "总机", "电话号码",
    ),
    "email": (
        "email", "e mail", "email address", "e mail address", "mail", "emailaddress1",
        "primary email", "work email", "邮箱", "电子邮箱", "电子邮件", "邮件",
    ),
    "house": ("street number", "house number", "house no", "street no", "门牌号"),
    "address": (
        "address", "street", "street address", "address 1", "address1", "address line 1",
        "mailing street", "billing street", "mailing address", "billing address", "address line1",
        "site address", "address1 line1", "street name", "location",
        "地址", "详细地址", "联系地址", "公司地址", "注册地址", "通讯地址", "办公地址", "街道",
    ),
    "address2": ("address 2", "address2", "address line 2", "address1 line2"),
    "city": (
        "city", "town", "suburb", "locality", "mailing city", "billing city", "address1 city",
        "城市", "市", "所在城市", "所在市",
    ),
    "region": (
        "state", "province", "region", "county", "mailing state", "billing state",
        "省", "省份", "地区", "区域",
    ),
    "postcode": (
        "postcode", "zip", "zip code", "zipcode", "postal code", "post code", "mailing zip",
        "billing zip", "mailing zip postal code", "billing zip postal code", "邮编", "邮政编码",
    ),
}  # fmt: skip
_CONTACT: Mapping[str, tuple[str, ...]] = {
    "given": (
        "given name", "first name", "firstname", "forename", "fname", "given", "first", "名",
    ),
    "surname": (
        "surname", "last name", "lastname", "family name", "lname", "last", "姓", "姓氏",
    ),
    "name": (
        "name", "full name", "contact name", "contact", "person", "person name", "fullname",
        "lead name", "customer name", "姓名", "联系人", "联系人姓名", "名字", "客户姓名", "名称",
    ),
    "company": (
        "company", "company name", "account", "account name", "organisation", "organization",
        "employer", "account id", "parentcustomerid",
        "公司", "公司名称", "企业", "企业名称", "单位", "单位名称", "客户名称", "所属公司",
        "工作单位", "客户", "所属客户",
    ),
    "mobile": (
        "mobile", "mobile phone", "cell", "cell phone", "mobile number", "mobilephone",
        "手机", "手机号", "手机号码", "移动电话",
    ),
    "birth": (
        "birth date", "date of birth", "birthday", "birthdate", "dob", "birth", "出生日期", "生日",
        "出生年月",
    ),
    "number": (
        "soc sec id", "ssn", "social security number", "national id", "tax id", "passport",
        "身份证", "身份证号", "证件号码", "证件号", "身份证号码",
    ),
    **_SHARED,
}  # fmt: skip
_ACCOUNT: Mapping[str, tuple[str, ...]] = {
    "name": (
        "name", "site name", "account name", "company", "company name", "organisation",
        "organization", "organisation name", "organization name", "customer", "customer name",
        "business name", "legal name", "account", "site", "facility name", "vendor name",
        "名称", "客户名称", "公司名称", "公司", "企业名称", "企业", "单位名称", "客户", "单位",
    ),
    "number": (
        "uscc", "vat", "vat number", "tax id", "ein", "abn", "duns", "company number",
        "registration number", "统一社会信用代码", "社会信用代码", "信用代码", "税号",
        "纳税人识别号",
    ),
    "website": ("website", "web site", "url", "homepage", "web", "domain", "网址", "网站", "官网"),
    **_SHARED,
}  # fmt: skip
FIELDS: Mapping[Entity, Mapping[str, tuple[str, ...]]] = {
    "contact": _CONTACT,
    "account": _ACCOUNT,
}
"""The fields that are compared, and the headings under which they usually come."""

_PERSONAL = ("given", "surname", "birth", "mobile")
_WEAK = frozenset({"house", "address2", "city", "region", "postcode"})


@dataclass(frozen=True, slots=True)
class Columns:
    """``at``: field to the place of its column in a row; ``heads``: all headings of the file."""

    entity: Entity
    at: Mapping[str, int]
    heads: tuple[str, ...]

    @property
    def unused(self) -> tuple[str, ...]:
        """Headings that no field was taken from."""
        used = set(self.at.values())
        return tuple(head for at, head in enumerate(self.heads) if head and at not in used)

    def by_field(self) -> dict[str, str]:
        """Field to heading, for people."""
        return {name: self.heads[at] for name, at in self.at.items()}


def map_columns(
    path: Path,
    heads: Sequence[str],
    entity: str | None,
    maps: Sequence[str],
    id_column: str | None = None,
) -> Columns:
    """Map headings to fields.

    ``maps`` are ``column=field`` and come before what the headings say; ``column=`` leaves the
    column out.  ``id_column`` names the records and is not compared.  Without an entity, one with
    a person's name is of contacts.  Raises UsageError.
    """
    kind = _entity(entity, heads, maps)
    said, dropped = _said(path, heads, kind, maps)
    if id_column is not None and id_column not in heads:
        raise UsageError(
            f"--id {id_column!r}: {path.name} has no such column", hint=f"Columns: {_list(heads)}."
        )
    named = {} if id_column is None else {"id": heads.index(id_column)}
    dropped |= set(named.values()) - set(said.values())
    found = dict(said)
    plain = [plain_heading(head) for head in heads]
    for name, synonyms in FIELDS[kind].items():
        if name in found:
            continue
        free = {
            head: at
            for at, head in enumerate(plain)
            if at not in found.values() and at not in dropped
        }
        best = next((free[each] for each in synonyms if each in free), None)
        if best is not None:
            found[name] = best
    if not set(found) - _WEAK:
        raise UsageError(
            f"no column of {path.name} is taken for a name, an address, a phone or an e-mail of "
            f"{kind}s",
            hint=f"Say which with --map COLUMN=FIELD; columns: {_list(heads)}.",
        )
    return Columns(kind, found | named, tuple(heads))


def _entity(entity: str | None, heads: Sequence[str], maps: Sequence[str]) -> Entity:
    for each in ENTITIES:
        if entity == each:
            return each
    if entity is not None:
        raise UsageError(f"entity {entity!r} has no settings", hint="Use contact, lead or account.")
    plain = {plain_heading(head) for head in heads}
    mapped = {each.rpartition("=")[2].strip() for each in maps}
    people = {name for field in _PERSONAL for name in _CONTACT[field]}
    people |= {"姓名", "联系人", "联系人姓名", "contact name", "full name", "contact", "person"}
    return "contact" if plain & people or mapped & set(_PERSONAL) else "account"


def _said(
    path: Path, heads: Sequence[str], entity: Entity, maps: Sequence[str]
) -> tuple[dict[str, int], set[int]]:
    found: dict[str, int] = {}
    dropped: set[int] = set()
    for each in maps:
        column, separator, name = (part.strip() for part in each.rpartition("="))
        if not separator or column not in heads:
            raise UsageError(
                f"--map {each!r}: {path.name} has no column {column or each!r}",
                hint=f"Write --map COLUMN=FIELD; its columns: {_list(heads)}.",
            )
        if not name:
            dropped.add(heads.index(column))
        elif name not in FIELDS[entity]:
            raise UsageError(
                f"--map {each!r}: {entity} has no field {name!r}",
                hint=f"Its fields: {', '.join(FIELDS[entity])}.",
            )
        elif name in found:
            raise UsageError(
                f"--map {each!r}: {name} is already taken from {heads[found[name]]!r}",
                hint="Map one column to each field.",
            )
        else:
            found[name] = heads.index(column)
    return found, dropped


def _list(heads: Sequence[str]) -> str:
    return ", ".join(head for head in heads if head)
