//! Many replicas that start at once, and versions that serve together.

use portcullis_store::{
    CatalogRow, ClientRow, ConnectionFilter, Consent, GrantFilter, OriginClientRow, PrincipalRow,
    SessionFilter, Store, UnusedClientLimits,
};

use crate::codes::{code, grant};
use crate::connect_flows::flow;
use crate::connect_links::connect_link;
use crate::connections::{renewal, row as connection};
use crate::provider_accounts::account;
use crate::provider_issuers::bound;
use crate::published_serials::serial;
use crate::sessions::row as session;
use crate::sign_ins::{pending, sign_in};
use crate::step_ups::step_up;
use crate::test_database::{on_both_databases, run_concurrently};

const TABLES: [&str; 21] = [
    "principals",
    "clients",
    "codes",
    "grants",
    "refresh_tokens",
    "identity_changes",
    "connections",
    "origin_clients",
    "connect_flows",
    "origin_catalogs",
    "shared_catalogs",
    "late_sessions",
    "browser_sessions",
    "pending_authorizations",
    "sign_ins",
    "consents",
    "used_assertions",
    "provider_accounts",
    "step_ups",
    "published_serials",
    "provider_issuers",
];

/// What the next version's migration might do, as far as the rules allow.
fn expansion() -> String {
    let mut statements = String::from("CREATE TABLE invented (id TEXT NOT NULL PRIMARY KEY);");
    for table in TABLES.iter().chain(&["connect_tickets"]) {
        statements += &format!("ALTER TABLE {table} ADD COLUMN invented TEXT;");
        statements += &format!("ALTER TABLE {table} ADD COLUMN counted BIGINT NOT NULL DEFAULT 0;");
    }
    statements
        + "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
           SELECT version + 1000, 'invented', success, checksum, 1 FROM _sqlx_migrations WHERE version = 1"
}

/// Writes and reads every table, with every statement that returns rows.
async fn use_everything(store: &Store) {
    let catalog = CatalogRow {
        origin_uid: "o".into(),
        origin_url: "https://o".into(),
        kind: "k".into(),
        basis: "b".into(),
        document: "{}".into(),
        observed_at: 1,
    };
    store.put_catalog(&catalog).await.unwrap();
    assert_eq!(store.catalogs().await.unwrap(), [catalog]);
    let client = ClientRow {
        id: "c".into(),
        secret_digest: None,
        metadata: "{}".into(),
        created_at: 1,
        last_used_at: 1,
        registered_from: Some("192.0.2.1".into()),
    };
    store.add_client(&client).await.unwrap();
    assert_eq!(store.client("c", 0).await.unwrap().as_ref(), Some(&client));
    let limits = UnusedClientLimits { per_network: 1, total: 1 };
    store.evict_unused_clients(&client, limits).await.unwrap();
    assert!(!store.has_grants("c").await.unwrap());
    store.prune_unused_clients(0).await.unwrap();
    store.check_clock(crate::clock_check::now_ms).await.unwrap();
    store.begin_connect_flow(&flow(), 0).await.unwrap();
    assert_eq!(store.take_connect_flow("s", 0).await.unwrap(), Some(flow()));
    store.put_connection(&connection()).await.unwrap();
    assert_eq!(store.connection("ana", "o1").await.unwrap(), Some(connection()));
    assert!(store.renew_connection(&connection(), &renewal("r2")).await.unwrap());
    assert!(store.put_step_up(&step_up("a"), None).await.unwrap());
    store.record_step_up("ana", "o1", "a", 1).await.unwrap();
    assert!(store.step_up("ana", "o1").await.unwrap().is_some());
    assert!(store.remove_connection("ana", "o1", 6_000).await.unwrap().is_some());
    let consent = Consent { principal: "a", client_id: "c", redirect_uri: "r", route_uid: "r", scope: "s" };
    store.consent(&consent, 1).await.unwrap();
    assert!(store.has_consent(&consent).await.unwrap());
    assert!(store.use_assertion("j", 1).await.unwrap());
    assert!(!store.use_assertion("j", 1).await.unwrap());
    store.prune_assertions(2).await.unwrap();
    store.add_grant(&grant("h")).await.unwrap();
    assert_eq!(store.grant("h").await.unwrap(), Some(grant("h")));
    store.add_code(&code()).await.unwrap();
    assert_eq!(store.code("code").await.unwrap(), Some(code()));
    assert!(store.redeem_code("code", &grant("g"), "t").await.unwrap());
    assert_eq!(store.grant("g").await.unwrap(), Some(grant("g")));
    let token = store.refresh_token("t").await.unwrap().unwrap();
    assert!(store.rotate_refresh_token(&token, "u", 1).await.unwrap());
    assert!(store.branch_refresh_token(&token, "v", 0, 1).await.unwrap());
    assert_eq!(store.unused_refresh_tokens("g").await.unwrap(), 2);
    assert!(!store.has_used_successor(&token).await.unwrap());
    assert!(!store.is_refresh_token_superseded(&token, 1).await.unwrap());
    store.prune_superseded_refresh_tokens(1).await.unwrap();
    assert!(!store.claim_sign_in_renewal("nobody", 1, 1).await.unwrap());
    assert_eq!(store.last_sign_in_renewal("nobody").await.unwrap(), None);
    assert!(store.revoke_grant("g", 5, 9).await.unwrap());
    assert_eq!(store.open_deferred_session("l", "o", 1).await.unwrap(), "o");
    assert_eq!(store.deferred_session("l").await.unwrap().as_deref(), Some("o"));
    assert_eq!(store.origin_client("o", "i", "r").await.unwrap(), None);
    assert_eq!(store.connections_sealed("x", None).await.unwrap(), []);
    assert_eq!(store.origin_clients_sealed("x", None).await.unwrap(), []);
    assert!(!store.has_sealed_rows().await.unwrap());
    let person = PrincipalRow {
        id: "ana".into(),
        identity_provider: "p".into(),
        subject: "p:1".into(),
        email: None,
        display_name: None,
        group_names: "[]".into(),
    };
    assert!(store.put_principal(&person, 5, 9).await.unwrap());
    assert_eq!(store.principal("ana").await.unwrap(), Some(person));
    assert_eq!(store.changes_since(0, 0).await.unwrap().len(), 2);
    store.put_provider_account(&account(Some("sealed"), Some("laptop"), "a")).await.unwrap();
    let signed_in = store.provider_account("ana").await.unwrap().unwrap();
    assert!(store.lease_provider_account(&signed_in, 150, 160).await.unwrap());
    assert!(store.renew_provider_account(&signed_in, "next", "b", 200).await.unwrap());
    assert_eq!(store.principals_of_account("company's 1").await.unwrap(), ["ana"]);
    store.rotate_browser_session(None, &session("b", "company", "ana")).await.unwrap();
    assert_eq!(store.browser_session("b", 1).await.unwrap().len(), 1);
    store.put_pending_authorization(&pending()).await.unwrap();
    assert_eq!(store.pending_authorization("id", 1).await.unwrap(), Some(pending()));
    store.put_sign_in(&sign_in()).await.unwrap();
    assert_eq!(store.sign_in("state", "mine", 1).await.unwrap(), Some(sign_in()));
    assert_eq!(store.take_sign_in("state", "mine", 1).await.unwrap(), Some(sign_in()));
    store.put_connect_link(&connect_link()).await.unwrap();
    assert_eq!(store.connect_link("digest", 1).await.unwrap(), Some(connect_link()));
    store.bind_provider_issuer(&bound("i", "sub")).await.unwrap();
    assert_eq!(store.provider_issuer("company").await.unwrap(), Some(bound("i", "sub")));
    assert!(store.rebind_provider_issuer(&bound("i", "sub"), &bound("i", "sub")).await.unwrap());
    store.raise_published_serials(&[serial("route-a", 1, true)]).await.unwrap();
    assert_eq!(store.published_serials().await.unwrap(), [serial("route-a", 1, true)]);
    store.prune_published_serials(1).await.unwrap();
    use_the_rest(store).await;
    // Away with all that, so that it can be done again.
    store.prune_expired_browser_state(1_000).await.unwrap();
    store.prune_deferred_sessions(1_000).await.unwrap();
    store.prune_clients(1_000).await.unwrap();
    store.withdraw_consent(&consent).await.unwrap();
}

/// Runs the statements that [`use_everything`] has not run. They find nothing: only their validity counts.
async fn use_the_rest(store: &Store) {
    let (row, account) = (connection(), account(None, None, "a"));
    store.bind_authorization("x", "b").await.unwrap();
    store.update_pending_authorization("x", "{}").await.unwrap();
    store.finish_authorization("x").await.unwrap();
    store.clear_provider_session_tokens("x").await.unwrap();
    store.clear_provider_token("x").await.unwrap();
    store.clients_in_use("", 1, "", 1).await.unwrap();
    store.connection_changes_since(0, 1).await.unwrap();
    store.count_connections_at("x").await.unwrap();
    store.count_sessions_of("x", 1).await.unwrap();
    store.end_browser_session("x", None).await.unwrap();
    store.end_browser_session("x", Some("company")).await.unwrap();
    for whose in
        [SessionFilter::Person("x"), SessionFilter::ProviderSession("x"), SessionFilter::Unattributed("x")]
    {
        store.end_sessions(whose).await.unwrap();
    }
    store.invalidate_code("x", 1).await.unwrap();
    let grants = || {
        [
            GrantFilter::Person("x"),
            GrantFilter::Client("x"),
            GrantFilter::Route("x"),
            GrantFilter::ProviderSession("x"),
            GrantFilter::Unattributed("x"),
        ]
    };
    for whose in grants() {
        store.invalidate_codes(whose, 1).await.unwrap();
    }
    for whose in grants() {
        store.live_grants(whose, 1, "", 1).await.unwrap();
    }
    for whose in grants() {
        store.revoke_grants(whose, 1, 1).await.unwrap();
    }
    store.is_assertion_used("x").await.unwrap();
    store.lease_connection(&row, 1, 2).await.unwrap();
    store.release_connection(&row, 2).await.unwrap();
    store.touch_connection("x", "o", 1, 0).await.unwrap();
    store.mark_connection_dead(&row, "x").await.unwrap();
    store.reencrypt_connection(&row, "x").await.unwrap();
    for whose in [ConnectionFilter::Person("x"), ConnectionFilter::Origin("x")] {
        store.remove_connections(whose, 1).await.unwrap();
    }
    store.provider_accounts_sealed("x", None).await.unwrap();
    store.provider_accounts_sealed("x", Some(&account)).await.unwrap();
    store.reencrypt_provider_account(&account, "x").await.unwrap();
    store.release_provider_account(&account, 1).await.unwrap();
    store.put_origin_client(&registered()).await.unwrap();
    store.reencrypt_origin_client(&registered(), "x").await.unwrap();
    store.remove_origin_client("o", "i", "c").await.unwrap();
    store.remove_catalog("x", "k").await.unwrap();
    store.search_principals("x", "", 1).await.unwrap();
    store.touch_client("x", 1).await.unwrap();
    store.use_connect_link("x", 1).await.unwrap();
    store.withdraw_client_consents("x").await.unwrap();
    store.withdraw_grant_consents("x", "c", "r").await.unwrap();
    store.withdraw_principal_consents("x").await.unwrap();
    store.prune_catalogs(0).await.unwrap();
    store.prune_changes(0).await.unwrap();
    store.prune_grants(0, 0).await.unwrap();
    store.prune_provider_accounts(0).await.unwrap();
}

fn registered() -> OriginClientRow {
    OriginClientRow {
        origin_uid: "o".into(),
        issuer: "i".into(),
        redirect_uri: "r".into(),
        client_id: "c".into(),
        sealed_secret: None,
        auth_method: "none".into(),
        secret_expires_at: None,
        registered_at: 1,
    }
}

const EMPTY: &str =
    "DELETE FROM refresh_tokens; DELETE FROM grants; DELETE FROM codes; DELETE FROM principals;
    DELETE FROM identity_changes; DELETE FROM shared_catalogs; DELETE FROM provider_accounts;
    DELETE FROM step_ups";

on_both_databases! {
    async fn given_an_empty_database_when_eight_replicas_start_at_once_then_each_migration_runs_once(place: TestDatabase) {
        let url = std::sync::Arc::new(place.url.clone());
        let stores = run_concurrently((0..8).map(|_| {
            let url = url.clone();
            async move { Store::open(&url).await.unwrap() }
        }))
        .await;
        use_everything(&stores[7]).await;
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
        let applied = place.count("SELECT COUNT(*) FROM _sqlx_migrations").await;
        assert_eq!(usize::try_from(applied).unwrap(), files);
    }

    async fn given_a_newer_schema_when_an_older_version_starts_then_it_serves(place: TestDatabase) {
        place.store().await;
        place.run(&expansion()).await;
        use_everything(&place.store().await).await;
    }

    async fn given_a_version_that_serves_when_the_schema_grows_beneath_it_then_it_goes_on(place: TestDatabase) {
        let store = place.store().await;
        // Enough to have the statements prepared on each connection.
        for _ in 0..20 {
            use_everything(&store).await;
            place.run(EMPTY).await;
        }
        place.run(&expansion()).await;
        for _ in 0..20 {
            use_everything(&store).await;
            place.run(EMPTY).await;
        }
    }

    async fn given_a_migration_that_was_changed_after_its_release_when_starting_then_it_is_refused(place: TestDatabase) {
        place.store().await;
        place.run("UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 2) WHERE version = 1").await;
        let refused = Store::open(&place.url).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("schema"), "{refused}");
    }
}
