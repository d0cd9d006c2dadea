-- Secondary indexes, one statement a line group, idempotent. Kept apart from the tables so
-- that a bulk load can drop them first and build them once at the end.
--
-- Prefix search compares lower(column) under collation "C" as a range, which a cached generic
-- plan can use (LIKE with a parameter cannot).
--
-- Search inside a name uses trigrams. A Chinese word is often two characters, too short for a
-- trigram, so characters beyond ASCII are indexed twice over: every pair then has its trigrams.

create index if not exists users_team on users (team_id);
create index if not exists users_region on users (region);
create index if not exists sessions_user on sessions (user_id);

create index if not exists accounts_owner on accounts (owner_id, id);
create index if not exists accounts_name_prefix on accounts (lower(name) collate "C");
create index if not exists accounts_name_grams on accounts
    using gin (regexp_replace(name, '([^\x01-\x7f])', '\1\1', 'g') gin_trgm_ops);
create index if not exists accounts_uscc on accounts (uscc) where uscc is not null;
create index if not exists accounts_updated on accounts (updated_at, id);
create index if not exists accounts_tag on accounts (source_tag) where source_tag is not null;

create index if not exists contacts_owner on contacts (owner_id, id);
create index if not exists contacts_account on contacts (account_id);
create index if not exists contacts_name_prefix on contacts (lower(name) collate "C");
create index if not exists contacts_name_grams on contacts
    using gin (regexp_replace(name, '([^\x01-\x7f])', '\1\1', 'g') gin_trgm_ops);
create index if not exists contacts_email on contacts (lower(email) collate "C");
create index if not exists contacts_mobile on contacts (mobile collate "C");
create index if not exists contacts_updated on contacts (updated_at, id);
create index if not exists contacts_tag on contacts (source_tag) where source_tag is not null;

create index if not exists leads_owner on leads (owner_id, id);
create index if not exists leads_name_prefix on leads (lower(name) collate "C");
create index if not exists leads_company_prefix on leads (lower(company) collate "C");
create index if not exists leads_name_grams on leads
    using gin (regexp_replace(name, '([^\x01-\x7f])', '\1\1', 'g') gin_trgm_ops);
create index if not exists leads_email on leads (lower(email) collate "C");
create index if not exists leads_mobile on leads (mobile collate "C");
create index if not exists leads_updated on leads (updated_at, id);
create index if not exists leads_tag on leads (source_tag) where source_tag is not null;

create index if not exists leads_converted_contact on leads (converted_contact_id)
    where converted_contact_id is not null;
create index if not exists leads_converted_account on leads (converted_account_id)
    where converted_account_id is not null;
create index if not exists leads_converted_deal on leads (converted_deal_id)
    where converted_deal_id is not null;

create index if not exists deals_owner on deals (owner_id, id);
create index if not exists deals_account on deals (account_id);
create index if not exists deals_contact on deals (contact_id) where contact_id is not null;
create index if not exists deals_name_prefix on deals (lower(name) collate "C");
create index if not exists deals_name_grams on deals
    using gin (regexp_replace(name, '([^\x01-\x7f])', '\1\1', 'g') gin_trgm_ops);
create index if not exists deals_updated on deals (updated_at, id);
create index if not exists deals_tag on deals (source_tag) where source_tag is not null;

create index if not exists activities_owner on activities (owner_id, id);
create index if not exists activities_account on activities (account_id) where account_id is not null;
create index if not exists activities_contact on activities (contact_id) where contact_id is not null;
create index if not exists activities_deal on activities (deal_id) where deal_id is not null;
create index if not exists activities_subject_prefix on activities (lower(subject) collate "C");
create index if not exists activities_updated on activities (updated_at, id);
create index if not exists activities_tag on activities (source_tag) where source_tag is not null;

create index if not exists cases_owner on cases (owner_id, id);
create index if not exists cases_account on cases (account_id) where account_id is not null;
create index if not exists cases_contact on cases (contact_id) where contact_id is not null;
create index if not exists cases_subject_prefix on cases (lower(subject) collate "C");
create index if not exists cases_number_prefix on cases (lower(number) collate "C");
create index if not exists cases_updated on cases (updated_at, id);
create index if not exists cases_tag on cases (source_tag) where source_tag is not null;

create index if not exists campaigns_owner on campaigns (owner_id, id);
create index if not exists campaigns_updated on campaigns (updated_at, id);

create index if not exists quotes_owner on quotes (owner_id, id);
create index if not exists quotes_deal on quotes (deal_id) where deal_id is not null;
create index if not exists quotes_updated on quotes (updated_at, id);

create index if not exists orders_owner on orders (owner_id, id);
create index if not exists orders_account on orders (account_id) where account_id is not null;
create index if not exists orders_quote on orders (quote_id) where quote_id is not null;
create index if not exists orders_updated on orders (updated_at, id);

create index if not exists access_log_at on access_log using brin (at);
create index if not exists deletions_feed on deletions (entity, deleted_at, id);
create index if not exists defects_record on defects (entity, record_id);
