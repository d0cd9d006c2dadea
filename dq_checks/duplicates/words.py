"""Words that carry no identity: legal forms, places, forms of address, kinds of street."""

from __future__ import annotations

_PLACES = """
北京 上海 天津 重庆 河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南
湖北 湖南 广东 海南 四川 贵州 云南 陕西 甘肃 青海 内蒙古 广西 西藏 宁夏 新疆 香港
澳门 台湾 广州 深圳 珠海 汕头 佛山 韶关 湛江 肇庆 江门 茂名 惠州 梅州 汕尾 河源 阳江
清远 东莞 中山 潮州 揭阳 南京 无锡 徐州 常州 苏州 南通 连云港 淮安 盐城 扬州 镇江
泰州 宿迁 昆山 杭州 宁波 温州 嘉兴 湖州 绍兴 金华 衢州 舟山 台州 丽水 义乌 合肥 芜湖
蚌埠 淮南 马鞍山 淮北 铜陵 安庆 黄山 滁州 阜阳 宿州 六安 亳州 池州 宣城 福州 厦门
莆田 三明 泉州 漳州 南平 龙岩 宁德 南昌 景德镇 萍乡 九江 新余 鹰潭 赣州 吉安 宜春
抚州 上饶 济南 青岛 淄博 枣庄 东营 烟台 潍坊 济宁 泰安 威海 日照 临沂 德州 聊城 滨州
菏泽 郑州 开封 洛阳 平顶山 安阳 鹤壁 新乡 焦作 濮阳 许昌 漯河 三门峡 南阳 商丘 信阳
周口 驻马店 武汉 黄石 十堰 宜昌 襄阳 鄂州 荆门 孝感 荆州 黄冈 咸宁 随州 长沙 株洲
湘潭 衡阳 邵阳 岳阳 常德 张家界 益阳 郴州 永州 怀化 娄底 成都 自贡 攀枝花 泸州 德阳
绵阳 广元 遂宁 内江 乐山 南充 眉山 宜宾 广安 达州 雅安 巴中 资阳 贵阳 六盘水 遵义
安顺 昆明 曲靖 玉溪 大理 西安 铜川 宝鸡 咸阳 渭南 延安 汉中 榆林 安康 商洛 兰州
嘉峪关 天水 武威 张掖 酒泉 西宁 银川 乌鲁木齐 克拉玛依 拉萨 呼和浩特 包头 赤峰
鄂尔多斯 南宁 柳州 桂林 梧州 北海 玉林 海口 三亚 石家庄 唐山 秦皇岛 邯郸 邢台 保定
张家口 承德 沧州 廊坊 衡水 太原 大同 阳泉 长治 晋城 朔州 晋中 运城 忻州 临汾 吕梁
沈阳 大连 鞍山 抚顺 本溪 丹东 锦州 营口 阜新 辽阳 盘锦 铁岭 朝阳 葫芦岛 长春 四平
辽源 通化 白山 松原 白城 哈尔滨 齐齐哈尔 鸡西 鹤岗 双鸭山 大庆 伊春 佳木斯 牡丹江
绥化
"""

PLACES = tuple(_PLACES.split())
"""Provinces and cities of prefecture rank (and a few below it), without 市 and 省."""

LEGAL_FORMS = (
    "集团股份有限公司", "集团有限责任公司", "股份有限公司", "有限责任公司", "集团有限公司",
    "股份合作公司", "有限公司", "集团公司", "总公司", "集团", "公司", "有限合伙",
)  # fmt: skip
"""Chinese legal forms, the longest first; 公司 is none in 分公司 and 子公司."""

BRANCH_WORDS = (
    "分公司", "子公司", "办事处", "分行", "支行", "分店", "营业部", "分部", "分厂", "分院",
    "代表处", "经营部", "门店", "事业部",
)  # fmt: skip
"""A name that ends so is of a part: another customer than the whole."""

HONORIFICS = ("先生", "女士", "小姐", "太太", "总经理", "经理", "老师", "主任", "总监", "总", "工")
"""Forms of address after a Chinese name; the first four may also follow a whole name."""

LATIN_FORMS = (
    "incorporated", "inc", "limited", "ltd", "llc", "llp", "lp", "plc", "corporation", "corp",
    "company", "co", "gmbh", "ag", "kg", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab", "as",
    "oy", "pte", "pty", "pvt", "sdn", "bhd", "kk",
)  # fmt: skip

STREET_WORDS = {
    "street": "st", "str": "st", "avenue": "ave", "av": "ave", "boulevard": "blvd", "blv": "blvd",
    "road": "rd", "drive": "dr", "lane": "ln", "court": "ct", "crt": "ct", "place": "pl",
    "square": "sq", "parkway": "pkwy", "pky": "pkwy", "terrace": "ter", "tce": "ter",
    "circuit": "cct", "crct": "cct", "crescent": "cres", "cr": "cres", "close": "cl",
    "highway": "hwy", "expressway": "expy", "plaza": "plz", "trail": "trl", "way": "wy",
    "circle": "cir", "parade": "pde", "esplanade": "esp", "grove": "gr",
}  # fmt: skip
"""Kinds of street and their short forms."""

DIRECTIONS = {
    "north": "n", "south": "s", "east": "e", "west": "w", "no": "n", "so": "s",
    "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}  # fmt: skip

UNIT_WORDS = (
    "suite", "ste", "apt", "apartment", "unit", "flat", "floor", "fl", "flr", "room", "rm",
    "building", "bldg", "ground floor", "lower level", "1st fl", "2nd fl", "3rd fl", "1st floor",
    "2nd floor", "3rd floor", "rear", "basement",
)  # fmt: skip
"""Where the part of an address begins that is inside a house."""

STOP_WORDS = frozenset({"the", "of", "and", "for", "a", "an", "at", "in"})

FREE_MAIL = frozenset({
    "gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "live.com", "aol.com", "icloud.com",
    "msn.com", "qq.com", "163.com", "126.com", "sina.com", "sina.cn", "sohu.com", "139.com",
    "foxmail.com", "aliyun.com", "yeah.net", "189.cn", "gmx.de", "web.de", "mail.ru",
})  # fmt: skip
"""Hosts whose addresses say nothing about the company."""
