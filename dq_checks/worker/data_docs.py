"""Stored results as Great Expectations' Data Docs: a process of its own, off every audit's way.

Reads one JSON text from stdin and writes one to stdout.
"""

from __future__ import annotations

import html
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

SITE = "crmops"
_TRACKED = re.compile(r"https://great-expectations-web-assets[^\"']*")
"""A picture that the pages would fetch from somebody else's server each time one is opened."""


def main() -> None:
    """Build what stdin asks for; the answer is ``{"pages": n}`` or ``{"reason": text}``."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    wanted = json.loads(sys.stdin.read())
    try:
        answer: dict[str, Any] = {"pages": build(Path(wanted["out"]), wanted["audits"])}
    except ImportError as error:
        answer = {"reason": f"Data Docs need {error.name}: pip install 'crmops[dq]'"}
    except OSError as error:
        answer = {"reason": (error.strerror or str(error)).lower()}
    pipe.write(json.dumps(answer))
    pipe.close()


def build(out: Path, audits: Sequence[dict[str, Any]]) -> int:
    """Write the pages of some audits; the number of HTML files.  Raises OSError."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    for name in context.get_site_names():
        context.delete_data_docs_site(name)
    site: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(out)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.add_data_docs_site(SITE, site)
    for audit in audits:
        _store(context, audit)
    context.build_data_docs(site_names=[SITE])
    pages = list(out.rglob("*.html"))
    for page in pages:
        _keep_to_ourselves(page, out)
    shown = sum("validations" in page.relative_to(out).parts for page in pages)
    if shown < len(audits):  # what goes wrong with a page is only logged
        raise OSError(f"{len(audits) - shown} of {len(audits)} results have no page")
    return len(pages)


def _store(context: Any, audit: dict[str, Any]) -> None:
    import great_expectations as gx
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    run = RunIdentifier(audit["id"], datetime.fromisoformat(audit["begun"]))
    name = audit["suite"]
    results = [_result(each) for each in audit["rules"]]
    good = sum(bool(each.success) for each in results)
    value = ExpectationSuiteValidationResult(
        success=audit["verdict"] == "pass",
        results=results,
        suite_name=name,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good,
            "success_percent": 100 * good / len(results) if results else None,
        },
        meta={
            "run_id": run,
            "great_expectations_version": gx.__version__,
            "validation_time": audit["begun"],
            "active_batch_definition": {
                "datasource_name": audit["target"],
                "data_connector_name": "",
                "data_asset_name": audit["table"],
                "batch_identifiers": {},
            },
            "crmops": {each: audit[each] for each in ("verdict", "reason", "score", "rows")},
        },
    )
    batch = f"{audit['target']}.{audit['table']}"
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run, batch)
    context.validation_results_store.set(key, value)
    known = {each.name for each in context.suites.all()}
    if name not in known:
        expectations = [_configuration(each) for each in audit["rules"]]
        context.suites.add(gx.ExpectationSuite(name, expectations=expectations))


def _result(rule: dict[str, Any]) -> Any:
    """A rule as Data Docs show it; what could not be judged is shown as not evaluated."""
    from great_expectations.core import ExpectationValidationResult

    reason = rule["reason"] or "it saw nothing that it is about"
    unjudged = "" if rule["status"] in ("good", "failed", "waived") else reason
    bad, checked = rule["bad"] or 0, rule["B"] or 0
    result = {
        "element_count": checked,
        "unexpected_count": bad,
        "unexpected_percent": 100 * bad / checked if checked else 0.0,
        "observed_value": rule["A"],
    }
    return ExpectationValidationResult(
        success=not unjudged and (rule["status"] != "failed"),
        expectation_config=_configuration(rule),
        result={} if unjudged else result,
        exception_info={
            "raised_exception": bool(unjudged),
            "exception_message": _text(f"{rule['status']}: {unjudged}"),
            "exception_traceback": "",
        },
        meta={},
    )


def _configuration(rule: dict[str, Any]) -> Any:
    """The rule as an expectation."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    from dq_checks.worker.expectations import KINDS

    written = rule["rule"]
    kind = KINDS.get(written["check"], KINDS["rows"])
    title = written["title"] + (" (waived)" if rule["status"] == "waived" else "")
    return ExpectationConfiguration(
        type=re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(),
        kwargs={"counting": "{}", "mostly": written.get("threshold", 0.95)},
        meta={"rule": written},
        description=_text(title),
    )


def _text(text: str) -> str:
    """As the pages take it: they do not escape what goes into them."""
    return html.escape(text, quote=False)


def _keep_to_ourselves(page: Path, out: Path) -> None:
    depth = len(page.relative_to(out).parts) - 1
    logo = f"{'../' * depth}static/images/logo-long.png"
    text = page.read_text(encoding="utf-8")
    page.write_text(_TRACKED.sub(logo, text), encoding="utf-8")


if __name__ == "__main__":
    main()
