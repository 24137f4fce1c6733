//! What the store promises, on SQLite and, with the feature `test-postgres`, on the PostgreSQL at `PORTCULLIS_TEST_POSTGRES`.
//! `./tests/run store` starts one and runs these.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod place;

mod assertions;
mod catalogs;
mod clients;
mod codes;
mod connect_flows;
mod connections;
mod consents;
mod late_sessions;
mod live_grants;
mod migrations;
mod origin_clients;
mod principals;
mod provider_accounts;
mod refresh_tokens;
mod resealing;
mod revocations;
mod sessions;
mod sign_ins;
mod step_ups;
mod tickets;
mod tidying;

#[cfg(feature = "test-postgres")]
mod outage;
