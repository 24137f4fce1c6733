//! What the store promises, on SQLite and, with the feature `test-postgres`, on the PostgreSQL at `PORTCULLIS_TEST_POSTGRES`.
//! `./tests/run store` starts one and runs these.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod test_database;

mod assertions;
mod catalogs;
mod change_log;
mod clients;
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
mod pruning;
mod reencryption;
mod refresh_tokens;
mod sessions;
mod sign_ins;
mod step_ups;

#[cfg(feature = "test-postgres")]
mod outage;
