"""What the labelled sets are made of."""

from __future__ import annotations

SURNAMES = list(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林郑罗梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚"
    "卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
SURNAME_WEIGHTS = [max(70 - number, 4) / (1 + number * 0.06) for number in range(len(SURNAMES))]
COMMON_GIVEN = [
    "伟",
    "芳",
    "娜",
    "敏",
    "静",
    "强",
    "磊",
    "军",
    "洋",
    "勇",
    "艳",
    "杰",
    "建国",
    "秀英",
]
GIVEN = list(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国志文辉俊峰晓燕红梅海波宇欣怡子轩浩然雨涵梓佳"
    "琪诗思远嘉豪博睿天泽鹏飞云龙雪莹琳瑶婷慧颖倩楠东岩斌凯旭航鑫洁蕾璐丹萍宁晨曦"
)
CORES = list(
    "华盛鑫源恒泰信达宏远天成瑞丰博安嘉和永创新科联合众智云海龙腾飞金德利通银河星光大地东方西南北中蓝绿青"
    "红紫阳明月山水林木火土石玉宝康健美佳福禄寿喜正诚义仁凯旋卓越锦绣前程万里顺昌隆兴茂"
)
INDUSTRIES = (
    "科技", "贸易", "电子", "机械", "软件", "网络", "信息技术", "物流", "食品", "医药", "建筑工程",
    "文化传媒", "新能源", "环保", "化工", "实业", "自动化设备", "生物科技", "电气", "包装材料",
)  # fmt: skip
FORMS = ("有限公司", "股份有限公司", "有限责任公司")
CITIES = {
    "北京": "10", "上海": "21", "广州": "20", "深圳": "755", "杭州": "571", "成都": "28",
    "武汉": "27", "南京": "25", "苏州": "512", "西安": "29", "重庆": "23", "天津": "22",
    "青岛": "532", "长沙": "731", "郑州": "371", "宁波": "574", "厦门": "592", "合肥": "551",
    "无锡": "510", "济南": "531", "佛山": "757", "东莞": "769", "沈阳": "24", "大连": "411",
}  # fmt: skip
"""City to area code."""

ROADS = (
    "建国",
    "人民",
    "中山",
    "解放",
    "长江",
    "黄河",
    "和平",
    "光明",
    "科技",
    "高新",
    "滨海",
    "迎宾",
)
ROAD_KINDS = ("路", "街", "大道", "东路", "西路", "南路", "北路")
TRADITIONAL = str.maketrans(
    "华龙飞达远东云银联国书车马鑫张陈刘杨赵吴孙郑罗谢许冯邓肖韦贾邹邱闫顾钱严汤伟军杰涛刚兰晓红俊丽",
    "華龍飛達遠東雲銀聯國書車馬鑫張陳劉楊趙吳孫鄭羅謝許馮鄧肖韋賈鄒邱閆顧錢嚴湯偉軍傑濤剛蘭曉紅俊麗",
)
FULL_WIDTH = str.maketrans({code: chr(code + 0xFEE0) for code in range(33, 127)})

FIRST_NAMES = (
    "james", "mary", "john", "patricia", "robert", "jennifer", "michael", "linda", "william",
    "elizabeth", "david", "barbara", "richard", "susan", "joseph", "jessica", "thomas", "sarah",
    "charles", "karen", "christopher", "nancy", "daniel", "lisa", "matthew", "betty", "anthony",
    "margaret", "mark", "sandra", "donald", "ashley", "steven", "kimberly", "paul", "emily",
    "andrew", "donna", "joshua", "michelle", "kenneth", "carol", "kevin", "amanda", "brian",
    "dorothy", "george", "melissa", "timothy", "deborah", "ronald", "stephanie", "edward",
    "rebecca", "jason", "sharon", "jeffrey", "laura", "ryan", "cynthia", "jacob", "kathleen",
    "gary", "amy", "nicholas", "angela", "eric", "shirley", "jonathan", "anna", "stephen",
    "brenda", "larry", "pamela", "justin", "emma", "scott", "nicole", "brandon", "helen",
    "benjamin", "samantha", "samuel", "katherine", "gregory", "christine", "frank", "debra",
    "alexander", "rachel", "raymond", "carolyn", "patrick", "janet", "jack", "maria", "isabella",
    "lachlan", "mitchell", "harrison", "georgia", "imogen", "zali", "jaxon", "tahlia", "mikayla",
)  # fmt: skip
LAST_STEMS = (
    "smith", "john", "will", "brown", "jon", "garc", "mill", "dav", "rodrig", "martin", "hern",
    "lop", "gonz", "wils", "ander", "thom", "tayl", "moor", "jack", "lee", "per", "thomp", "whitt",
    "harr", "sanch", "clark", "ram", "lewis", "robin", "walk", "young", "all", "king", "wright",
    "scott", "torr", "nguy", "hill", "flore", "green", "adam", "nels", "bak", "hall", "riv", "camp",
    "mitch", "cart", "rob", "gom", "phil", "evan", "turn", "diaz", "park", "cruz", "edw", "coll",
)  # fmt: skip
LAST_ENDINGS = ("", "s", "son", "ez", "ers", "er", "man", "ton", "ley", "ford", "field", "well")
STREETS = (
    "main", "oak", "maple", "cedar", "elm", "washington", "lake", "hill", "park", "pine", "walnut",
    "spring", "north", "ridge", "church", "willow", "mill", "river", "sunset", "jackson",
    "lincoln", "madison", "jefferson", "cottage", "garfield", "monroe", "franklin", "adams",
    "roosevelt", "kedzie", "pulaski", "halsted", "racine", "ashland", "wentworth", "king", "state",
)  # fmt: skip
STREET_KINDS = (
    ("Street", "St", "St.", ""), ("Avenue", "Ave", "Ave.", "Av"), ("Road", "Rd", "Rd.", ""),
    ("Drive", "Dr", "Dr.", ""), ("Boulevard", "Blvd", "Blvd.", ""), ("Lane", "Ln", "Ln.", ""),
)  # fmt: skip
TOWNS = (
    "springfield", "riverside", "franklin", "greenville", "bristol", "clinton", "fairview", "salem",
    "madison", "georgetown", "arlington", "ashland", "dover", "hudson", "kingston", "milton",
    "newport", "oxford", "burlington", "manchester", "auburn", "lexington", "dayton", "cleveland",
)  # fmt: skip
FIRM_WORDS = (
    "acme", "global", "united", "pioneer", "summit", "atlas", "apex", "vertex", "horizon", "beacon",
    "sterling", "liberty", "cascade", "evergreen", "granite", "harbor", "keystone", "landmark",
    "meridian", "northern", "pacific", "quantum", "redwood", "silver", "titan", "zenith",
    "alpine", "cobalt", "delta", "echo", "falcon", "gemini", "helix", "indigo", "juniper",
    "lotus", "mosaic", "nova", "onyx", "prairie", "quest", "raven", "saturn", "tundra", "umbra",
)  # fmt: skip
FIRM_KINDS = (
    "logistics", "consulting", "software", "foods", "medical center", "industries", "energy",
    "child care center", "construction", "academy", "marketing", "insurance", "dental clinic",
    "school", "realty", "motors", "pharmacy", "electronics", "community center", "partners",
)  # fmt: skip
FIRM_FORMS = ("Inc", "Inc.", "LLC", "Corp.", "Corporation", "Ltd", "Company", "")
