"""The two languages of the pages: English in the templates, 简体中文 in ``locale``."""

from __future__ import annotations

import gettext
import io
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES = Path(__file__).parent / "locale"
LANGUAGES = {"en": "en", "zh": "zh-Hans"}
"""Our name of a language and the tag that the pages carry."""


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The words of a language; English is what the templates say."""
    if language == "en":
        return gettext.NullTranslations()
    with (LOCALES / "zh_Hans" / "LC_MESSAGES" / "console.po").open("rb") as stream:
        catalogue = read_po(stream, locale="zh_Hans")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def choose_language(configured: str, cookie: str, accept: str) -> str:
    """``en`` or ``zh``: the person's choice, else the configuration's, else the browser's."""
    if cookie in LANGUAGES:
        return cookie
    if configured in LANGUAGES:
        return configured
    for part in accept.split(","):
        tag = part.partition(";")[0].strip().lower()
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return "en"
