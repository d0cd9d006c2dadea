"""Normalising: what each function makes of what people write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dq_checks.duplicates import lines
from dq_checks.duplicates.lines import Lines, column

EXAMPLES: list[tuple[Lines, str, str | None]] = [
    (lines.companies, "北京市华信科技有限公司", "华信科技"),
    (lines.companies, "華為技術股份有限公司", "华为技术"),
    (lines.companies, "上海恒源贸易(中国)集团有限公司", "恒源贸易"),
    (lines.companies, "华信（上海）科技有限公司", "华信科技"),
    (lines.companies, "华信科技有限公司上海分公司", "华信科技"),
    (lines.companies, "上海银行股份有限公司", "上海银行"),
    (lines.companies, "中国银行", "中国银行"),
    (lines.branches, "华信科技有限公司上海第二分公司", "上海第二分公司"),
    (lines.branches, "中国工商银行股份有限公司北京支行", "北京支行"),
    (lines.branches, "北京市华信科技有限公司", None),
    (lines.groups, "华信集团有限公司", "集团"),
    (lines.groups, "华信科技有限公司", None),
    (lines.places, "北京市华信科技有限公司", "北京"),
    (lines.people, "張 偉強", "张伟强"),
    (lines.people, "张先生", "张"),
    (lines.people, "张伟先生", "张伟"),
    (lines.mobiles, "+86 １３８ ００１３ ８０００", "13800138000"),
    (lines.mobiles, "0086-138-0013-8000", "13800138000"),
    (lines.mobiles, "010-6552 9988", None),
    (lines.phones, "010-65529988转801", "1065529988"),
    (lines.phones, "(010)65529988-801", "1065529988"),
    (lines.phones, "+1 773 534 4125 x12", "7735344125"),
    (lines.phones, "5344125", "5344125"),
    (lines.phones, "0000000", None),
    (lines.emails, "Ｌi.Wei@Corp.COM.CN ", "li.wei@corp.com.cn"),
    (lines.emails, "anna+news@corp.de", "anna@corp.de"),
    (lines.emails, "03/31/15", None),
    (lines.hosts, "http://www.Foo.org/x?y", "foo.org"),
    (lines.dates, "1990-1-2", "19900102"),
    (lines.dates, "2001-11-30T00:00", "20011130"),
    (lines.dates, "03/04/1990", "19900403"),
    (lines.dates, "1990年12月3日", "19901203"),
    (lines.dates, "soon", None),
    (lines.latin_companies, "Café Müller & Söhne, Co. Ltd.", "cafe muller and sohne"),
    (lines.addresses, "34 E. 115th Street", "34 e 115th st"),
    (lines.addresses, "2929 S Wabash Suite 200", "2929 s wabash"),
    (lines.houses, "9208 9214 s cottage gr", "9208"),
    (lines.houses, "hoseason st", None),
    (lines.streets, "34 e 115th st", "115th"),
    (lines.ways, "34 e 115th st", "e"),
    (lines.whole_names, "Müller, Anna", "anna muller"),
    (lines.postcodes, "60647-1234", "60647"),
]
EVERY = sorted({each[0] for each in EXAMPLES}, key=lambda each: each.__name__)


@pytest.mark.parametrize(("of", "written", "wanted"), EXAMPLES)
def test_what_is_made_of_it(of: Lines, written: str, wanted: str | None) -> None:
    assert column([written], of) == [wanted]
    assert column(["甲", None, written, "乙\n丙", ""], of)[2] == wanted


@pytest.mark.parametrize("of", EVERY)
@settings(max_examples=25)
@given(data=st.data())
def test_as_many_lines_as_values_and_none_is_changed_by_its_neighbours(
    of: Lines, data: Any
) -> None:
    text = st.text(max_size=12) | st.sampled_from([each[1] for each in EXAMPLES])
    values = data.draw(st.lists(st.none() | text, min_size=1, max_size=6))
    made = column(values, of)
    assert made == [column([each], of)[0] for each in values]
