//! What lies in the database: its schema, and the migrations that made it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use portcullis_golden::assert_golden;
use portcullis_store::{ConnectionRow, GrantRow, PrincipalRow, Store};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Connection as _};

async fn database() -> (tempfile::TempDir, Store, AnyConnection) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("store.sqlite").display());
    let store = Store::open(&url).await.unwrap();
    let connection = AnyConnection::connect(&url).await.unwrap();
    (folder, store, connection)
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[tokio::test]
async fn the_schema_after_all_migrations_is_stable() {
    let (_folder, _store, mut connection) = database().await;
    let statements: Vec<String> = sqlx::query_scalar(
        "SELECT sql || ';' FROM sqlite_master
         WHERE sql IS NOT NULL AND name NOT LIKE '%_sqlx_migrations%'
         ORDER BY tbl_name, type DESC, name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_golden("store/schema-sqlite.sql", &statements.join("\n\n"));
}

#[test]
fn a_released_migration_never_changes() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let digests: BTreeMap<String, String> = files
        .map(|file| {
            let file = file.unwrap();
            let digest = Sha256::digest(std::fs::read(file.path()).unwrap());
            let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            (file.file_name().into_string().unwrap(), digest)
        })
        .collect();
    assert_golden("store/migrations.json", &pretty(&digests));
}

/// Replicas of other versions follow this log.
#[tokio::test]
async fn every_kind_of_change_is_logged_under_its_name() {
    let (_folder, store, mut connection) = database().await;
    store.add_grant(&grant()).await.unwrap();
    store.revoke_grant("grant-id", 2, 1_000).await.unwrap();
    for email in [None, Some("ana@example.com".to_owned())] {
        store.put_principal(&person(email), 3, 1_000).await.unwrap();
    }
    store.put_connection(&credential()).await.unwrap();
    store.remove_connection("principal-id", "origin-uid", 4).await.unwrap();
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT kind, subject, changed_at, expires_at FROM identity_changes ORDER BY kind, subject",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|(kind, subject, changed_at, expires_at)| {
            json!({"kind": kind, "subject": subject, "changed_at": changed_at, "expires_at": expires_at})
        })
        .collect();
    assert_golden("store/change-log.json", &pretty(&rows));
}

fn grant() -> GrantRow {
    GrantRow {
        id: "grant-id".into(),
        principal: "principal-id".into(),
        client_id: "client-id".into(),
        client_name: "client-name".into(),
        issuer: "https://gateway.example/mcp/a".into(),
        route_uid: "route-uid".into(),
        resource: "https://gateway.example/mcp/a".into(),
        scope: "mcp".into(),
        created_at: 1,
        expires_at: 1_000,
        revoked_at: None,
        provider_session: None,
    }
}

fn person(email: Option<String>) -> PrincipalRow {
    PrincipalRow {
        id: "principal-id".into(),
        identity_provider: "company".into(),
        subject: "company:ana".into(),
        email,
        display_name: None,
        group_names: "[]".into(),
    }
}

fn credential() -> ConnectionRow {
    ConnectionRow {
        principal_id: "principal-id".into(),
        origin_uid: "origin-uid".into(),
        origin_url: "https://origin.example/mcp".into(),
        resource: "https://origin.example/mcp".into(),
        issuer: "https://as.example".into(),
        token_endpoint: "https://as.example/token".into(),
        revocation_endpoint: None,
        client_id: "client-id".into(),
        registration: "dynamic".into(),
        auth_method: "none".into(),
        scope: String::new(),
        sealed: "sealed".into(),
        issued_at: 1,
        expires_at: None,
        dead: 0,
        revision: "revision".into(),
        leased_until: 0,
        connected_at: 1,
        last_used_at: None,
    }
}
