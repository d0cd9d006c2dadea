"""The neutral model: the entities and core fields that every connector maps its own names to."""

from __future__ import annotations

from typing import Final

ENTITIES: Final[tuple[str, ...]] = (
    "account", "contact", "lead", "deal", "activity", "case",
    "campaign", "product", "quote", "order", "user", "team",
)  # fmt: skip

PLURALS: Final[dict[str, str]] = {
    **{name: f"{name}s" for name in ENTITIES},
    "activity": "activities",
}

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "account": (
        "name", "uscc", "industry", "phone", "website", "region", "city", "address", "postcode",
    ),
    "contact": (
        "account_id", "name", "title", "email", "mobile", "phone", "city", "address", "birth_date",
    ),
    "lead": ("name", "company", "email", "mobile", "source", "status"),
    "deal": ("name", "account_id", "contact_id", "stage", "amount", "currency", "close_date"),
    "activity": ("kind", "subject", "account_id", "contact_id", "deal_id", "due_at", "done_at"),
    "case": ("number", "subject", "account_id", "contact_id", "status", "priority", "closed_at"),
    "campaign": ("name", "status", "start_date", "end_date", "budget"),
    "product": ("code", "name", "price", "active"),
    "quote": ("number", "deal_id", "status", "total", "valid_until"),
    "order": ("number", "account_id", "quote_id", "status", "total", "ordered_at"),
    "user": ("username", "name", "email", "role", "team_id", "region", "active"),
    "team": ("name", "region"),
}  # fmt: skip

COMMON: Final[tuple[str, ...]] = (
    "id",
    "owner_id",
    "source_tag",
    "created_at",
    "updated_at",
)
"""Fields of every entity: ``source_tag`` marks what a test or an import created."""

DEAL_STAGES: Final = (
    "prospecting",
    "qualification",
    "proposal",
    "negotiation",
    "won",
    "lost",
)
