//! What the store promises, on SQLite and on PostgreSQL. Tests that need PostgreSQL are ignored unless asked for: `./tests/run store`
//! starts a server at `PORTCULLIS_TEST_POSTGRES` and runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod test_database;

mod assertions;
mod catalogs;
mod change_log;
mod clients;
mod clock_check;
mod codes;
mod connect_flows;
mod connect_links;
mod connections;
mod consents;
mod deferred_sessions;
mod live_grants;
mod migrations;
mod origin_clients;
mod principals;
mod provider_accounts;
mod provider_issuers;
mod pruning;
mod published_serials;
mod reencryption;
mod refresh_tokens;
mod sessions;
mod sign_ins;
mod step_ups;

mod outage;
