-- The read-only role that audits use. On a PostgreSQL where the CRM's own role may not create
-- roles, an administrator makes crm_audit beforehand; without it everything else still works.
do $$
begin
    if not exists (select from pg_roles where rolname = 'crm_audit') then
        begin
            create role crm_audit login;
            alter role crm_audit set default_transaction_read_only = on;
        exception when insufficient_privilege then
            raise notice 'role crm_audit is missing and could not be created';
        end;
    end if;
    if exists (select from pg_roles where rolname = 'crm_audit') then
        grant usage on schema public to crm_audit;
        grant select on all tables in schema public to crm_audit;
        alter default privileges in schema public grant select on tables to crm_audit;
    end if;
end
$$;
