"""The small fixed vocabularies that Faker has not, above all the Latin spelling of Chinese parts.

An e-mail address of a Chinese contact is built from the same parts as the name (王小明 becomes
``xiaoming.wang``), so each part is kept with its Hanyu Pinyin.
"""

from __future__ import annotations

from typing import NamedTuple


class City(NamedTuple):
    """A city: Chinese and English name, administrative code, postcode start, dialling code."""

    name: str
    english: str
    code: str
    postcode: str
    dialling: str


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``王 wang 李 li`` as pairs of Chinese and pinyin."""
    words = text.split()
    return tuple(zip(words[::2], words[1::2], strict=True))


# The commonest surnames of the 2020 census first; drawn with a skew, as in life.
SURNAMES = _pairs(
    """王 wang 李 li 张 zhang 刘 liu 陈 chen 杨 yang 黄 huang 赵 zhao 吴 wu 周 zhou 徐 xu 孙 sun
    马 ma 朱 zhu 胡 hu 郭 guo 何 he 林 lin 高 gao 罗 luo 郑 zheng 梁 liang 谢 xie 宋 song 唐 tang
    许 xu 韩 han 邓 deng 冯 feng 曹 cao 彭 peng 曾 zeng 肖 xiao 田 tian 董 dong 潘 pan 袁 yuan
    蔡 cai 蒋 jiang 余 yu 于 yu 杜 du 叶 ye 程 cheng 魏 wei 苏 su 吕 lv 丁 ding 任 ren 卢 lu
    姚 yao 沈 shen 钟 zhong 姜 jiang 崔 cui 谭 tan 陆 lu 范 fan 汪 wang 廖 liao 石 shi 金 jin
    韦 wei 贾 jia 夏 xia 付 fu 方 fang 邹 zou 熊 xiong 白 bai 孟 meng 秦 qin 邱 qiu 侯 hou
    江 jiang 尹 yin 薛 xue 闫 yan 雷 lei 龙 long 黎 li 史 shi 陶 tao 贺 he 毛 mao 郝 hao 顾 gu
    龚 gong 邵 shao 万 wan 覃 qin 武 wu 钱 qian 戴 dai 严 yan 莫 mo 孔 kong 向 xiang 常 chang
    汤 tang 欧阳 ouyang 诸葛 zhuge 司马 sima 上官 shangguan"""
)

GIVEN = _pairs(
    """伟 wei 芳 fang 娜 na 敏 min 静 jing 丽 li 强 qiang 磊 lei 军 jun 洋 yang 勇 yong 艳 yan
    杰 jie 娟 juan 涛 tao 明 ming 超 chao 秀 xiu 霞 xia 平 ping 刚 gang 桂 gui 英 ying 华 hua
    玉 yu 兰 lan 建 jian 国 guo 志 zhi 文 wen 辉 hui 俊 jun 峰 feng 晓 xiao 燕 yan 红 hong
    梅 mei 海 hai 波 bo 宇 yu 欣 xin 怡 yi 子 zi 轩 xuan 浩 hao 然 ran 雨 yu 涵 han 梓 zi
    佳 jia 琪 qi 诗 shi 思 si 远 yuan 嘉 jia 豪 hao 博 bo 睿 rui 天 tian 泽 ze 鹏 peng 飞 fei
    云 yun 雪 xue 莹 ying 琳 lin 瑶 yao 婷 ting 慧 hui 颖 ying 倩 qian 楠 nan 春 chun 东 dong
    新 xin 成 cheng 凯 kai 乐 le 康 kang 宁 ning 瑞 rui 航 hang 妍 yan 宏 hong"""
)

# Three of these, a different triple for each account, are the distinctive part of a company name.
BRAND = _pairs(
    """华 hua 盛 sheng 鑫 xin 源 yuan 恒 heng 泰 tai 信 xin 达 da 宏 hong 远 yuan 天 tian
    成 cheng 瑞 rui 丰 feng 博 bo 安 an 嘉 jia 和 he 永 yong 创 chuang 新 xin 科 ke 联 lian
    合 he 众 zhong 智 zhi 云 yun 海 hai 龙 long 腾 teng 飞 fei 金 jin 德 de 利 li 通 tong
    银 yin 河 he 星 xing 光 guang 大 da 地 di 正 zheng 方 fang 万 wan 兴 xing 中 zhong 港 gang
    蓝 lan 绿 lv 青 qing 红 hong 紫 zi 阳 yang 明 ming 月 yue 山 shan 水 shui 林 lin 木 mu
    石 shi 玉 yu 宝 bao 康 kang 健 jian 美 mei 佳 jia 福 fu 禄 lu 寿 shou 喜 xi"""
)

# Chinese wording inside the name, the English word of it, and the pick-list value of the column.
INDUSTRIES = (
    ("科技", "Technology", "technology"),
    ("贸易", "Trading", "trade"),
    ("电子", "Electronics", "electronics"),
    ("机械", "Machinery", "machinery"),
    ("软件", "Software", "software"),
    ("物流", "Logistics", "logistics"),
    ("食品", "Foods", "food"),
    ("医药", "Pharma", "pharma"),
    ("建筑工程", "Construction", "construction"),
    ("文化传媒", "Media", "media"),
    ("新能源", "Energy", "energy"),
    ("环保", "Environmental", "environment"),
    ("化工", "Chemicals", "chemicals"),
    ("金融信息", "Financial", "finance"),
)

LEGAL_FORMS = ("有限公司", "股份有限公司", "有限责任公司", "集团有限公司")
ENGLISH_FORMS = ("Co., Ltd.", "Ltd.", "Inc.", "GmbH", "LLC")

TITLES = (
    "总经理", "副总经理", "采购经理", "采购总监", "财务经理", "财务总监", "技术总监",
    "信息中心主任", "行政主管", "市场经理", "销售总监", "工程师", "董事长助理", "运营经理",
)  # fmt: skip
ENGLISH_TITLES = (
    "General Manager", "Purchasing Manager", "Finance Director", "CTO", "Head of IT",
    "Project Manager", "Operations Manager", "Sales Director", "Legal Counsel", "Engineer",
)  # fmt: skip

REGIONS: dict[str, tuple[City, ...]] = {
    "华东": (
        City("上海", "Shanghai", "310115", "2001", "021"),
        City("杭州", "Hangzhou", "330106", "3100", "0571"),
        City("南京", "Nanjing", "320105", "2100", "025"),
        City("苏州", "Suzhou", "320508", "2150", "0512"),
        City("宁波", "Ningbo", "330205", "3150", "0574"),
        City("青岛", "Qingdao", "370202", "2660", "0532"),
    ),
    "华南": (
        City("广州", "Guangzhou", "440106", "5106", "020"),
        City("深圳", "Shenzhen", "440305", "5180", "0755"),
        City("厦门", "Xiamen", "350203", "3610", "0592"),
        City("东莞", "Dongguan", "441900", "5230", "0769"),
    ),
    "华北": (
        City("北京", "Beijing", "110108", "1000", "010"),
        City("天津", "Tianjin", "120103", "3002", "022"),
        City("石家庄", "Shijiazhuang", "130102", "0500", "0311"),
        City("太原", "Taiyuan", "140105", "0300", "0351"),
    ),
    "华中": (
        City("武汉", "Wuhan", "420106", "4300", "027"),
        City("长沙", "Changsha", "430104", "4100", "0731"),
        City("郑州", "Zhengzhou", "410105", "4500", "0371"),
    ),
    "西南": (
        City("成都", "Chengdu", "510104", "6100", "028"),
        City("重庆", "Chongqing", "500103", "4000", "023"),
        City("昆明", "Kunming", "530102", "6500", "0871"),
    ),
    "西北": (
        City("西安", "Xi'an", "610113", "7100", "029"),
        City("兰州", "Lanzhou", "620102", "7300", "0931"),
    ),
    "东北": (
        City("沈阳", "Shenyang", "210102", "1100", "024"),
        City("大连", "Dalian", "210202", "1160", "0411"),
        City("哈尔滨", "Harbin", "230103", "1500", "0451"),
    ),
}

# Enough of the traditional forms to rewrite most of the names above; a row per character would
# be a dictionary, and that is opencc's work, not a seeder's.
TRADITIONAL = str.maketrans(
    "华龙飞达远东云银联国书车马鑫创众腾兴中蓝绿红阳宝刘张陈杨黄赵吴孙罗郑谢许韩邓冯钟龚严顾伟静丽"
    "强军艳杰娟涛兰桦辉晓泽莹颖凯乐宁机电软医药贸业环术传创项",
    "華龍飛達遠東雲銀聯國書車馬鑫創眾騰興中藍綠紅陽寶劉張陳楊黃趙吳孫羅鄭謝許韓鄧馮鐘龔嚴顧偉靜麗"
    "強軍艷傑娟濤蘭樺輝曉澤瑩穎凱樂寧機電軟醫藥貿業環術傳創項",
)
FULL_WIDTH = str.maketrans({code: chr(code + 0xFEE0) for code in range(33, 127)})
# Typing slips of the pinyin input method: the same sound, another character. The slips of a
# brand are characters that BRAND has not, so that a slip is never another company's name.
HOMOPHONES = str.maketrans(
    "伟芳静丽强磊军杰涛明英华建国志文辉俊峰晓燕梅海波",
    "玮方婧莉墙雷君洁韬铭瑛桦健果智雯晖骏锋小艳玫亥博",
)
BRAND_SLIPS = str.maketrans(
    "华盛鑫源恒泰信宏远天成瑞丰博安嘉和永创新", "骅晟欣元横太芯鸿园添诚锐峰帛按加禾咏闯昕"
)
