//! Members of teams, and administrators: who they are, and who only looks like them.

#![allow(clippy::unwrap_used, reason = "a test")]

use portcullis_golden::config::{config, everything, gateway, origin, route, with};
use portcullis_policy::{Principal, RouteTable};
use serde_json::{Value, json};

/// Two identity providers that have groups of the same names.
fn providers() -> Value {
    let provider = |name: &str| json!({"name": name, "kind": {"development": {"users": []}}});
    json!({
        "identityProviders": [provider("company"), provider("customers")],
        "admins": {"groups": ["operators"], "users": ["root@example.com"], "serviceAccounts": []},
    })
}

fn team(uid: &str, group: &str, routes: &[&str]) -> Value {
    let grants = routes.iter().map(|route| json!({"route": route, "tools": everything()}));
    json!({
        "uid": uid, "name": format!("mcp/{uid}"), "displayName": uid,
        "members": {"groups": [group], "users": [], "workloads": ["reporter"], "serviceAccounts": []},
        "access": grants.collect::<Vec<_>>(),
    })
}

fn table(teams: &[Value]) -> RouteTable {
    let routes = ["a", "b"].map(|uid| with(route(uid, uid, "o"), json!({"access": "Teams"})));
    let documents = config(with(gateway(), providers()), vec![origin("o")], routes.into());
    RouteTable::build(&serde_json::from_value(with(documents, json!({"teams": teams}))).unwrap(), 1).unwrap()
}

fn person(provider: &str, group: &str) -> Principal {
    Principal::new(provider, "ana", Some("ana@example.com"), None, [group])
}

#[test]
fn given_a_team_then_it_grants_its_own_routes_to_its_own_members() {
    let table = table(&[team("readers", "reading", &["a"]), team("writers", "writing", &["b"])]);
    let grants =
        |slug, team, who: &Principal| table.route(slug).unwrap().team_grants(&format!("mcp/{team}"), who);
    let (reader, writer) = (person("company", "reading"), person("company", "writing"));
    assert!(grants("a", "readers", &reader) && grants("b", "writers", &writer));
    assert!(!grants("a", "readers", &writer), "a member of another team");
    assert!(!grants("b", "readers", &reader), "a route of another team");
    assert!(!grants("a", "writers", &reader), "a member, but of another team than asked for");
    assert!(!grants("a", "absent", &reader), "no such team");
}

#[test]
fn given_a_team_when_another_provider_has_its_group_then_that_group_is_not_a_member() {
    let table = table(&[team("readers", "reading", &["a"])]);
    let route = table.route("a").unwrap();
    assert!(route.team_grants("mcp/readers", &person("company", "reading")));
    assert!(!route.team_grants("mcp/readers", &person("customers", "reading")));
    assert!(route.authorize(&person("customers", "reading")).is_none());
}

#[test]
fn given_several_teams_in_any_order_then_a_route_lists_each_once_sorted_by_name() {
    let mut teams = ["c", "a", "d", "b"].map(|uid| team(uid, "reading", &["a", "a"]));
    for _ in 0..2 {
        let table = table(&teams);
        let names = ["mcp/a", "mcp/b", "mcp/c", "mcp/d"];
        assert_eq!(table.route("a").unwrap().teams().collect::<Vec<_>>(), names);
        let access = table.route("a").unwrap().authorize(&person("company", "reading")).unwrap();
        assert_eq!(access.teams.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), names);
        assert_eq!(table.route("b").unwrap().teams().count(), 0);
        teams.reverse();
    }
}

#[test]
fn given_administrators_then_only_users_of_the_first_provider_are_among_them() {
    let gateway = table(&[]).gateway;
    let with_email = |provider, email| Principal::new(provider, "root", Some(email), None, ["staff"]);
    for admin in [person("company", "operators"), with_email("company", "Root@example.com")] {
        assert!(gateway.is_admin(&admin), "{admin:?}");
    }
    for other in [
        person("company", "staff"),
        with_email("company", "toor@example.com"),
        person("customers", "operators"),
        with_email("customers", "root@example.com"),
        Principal::workload("operators", "root@example.com"),
        Principal::service_account("company", "operators"),
    ] {
        assert!(!gateway.is_admin(&other), "{other:?}");
    }
}
