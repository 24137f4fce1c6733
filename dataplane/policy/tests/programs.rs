//! Workloads and service accounts: a team must list them, and no other principal can impersonate one.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use portcullis_config::{Config, SecretKey, SecretValue, WorkloadConfig, WorkloadCredential};
use portcullis_golden::config::{self, config, everything, gateway, origin, with};
use portcullis_policy::{
    DocumentRef, Principal, PrincipalKind, Route, RouteTable, RouteTableBuilder, ToolRules,
};
use secrecy::SecretString;
use serde_json::json;

fn contract(access: &str, members: serde_json::Value) -> Config {
    let origin = with(origin("o"), json!({"name": "default/o", "displayName": "O"}));
    let route = json!({"name": "default/r", "displayName": "R", "access": access});
    let mut config = config(gateway(), vec![origin], vec![with(config::route("r", "r", "o"), route)]);
    config["teams"] = json!([{
        "uid": "t", "name": "default/t", "displayName": "T", "members": members,
        "access": [{"route": "r", "tools": with(everything(), json!({"include": ["read"]}))}],
    }]);
    serde_json::from_value(config).unwrap()
}

fn route(access: &str, members: serde_json::Value) -> Arc<Route> {
    let table = RouteTable::build(&contract(access, members), 1).unwrap();
    Arc::clone(table.route("r").unwrap())
}

#[test]
fn given_programs_then_their_kind_and_subject_tell_what_they_are() {
    let workload = Principal::workload("reporter", "The reporter");
    assert_eq!((workload.kind(), &*workload.subject), (PrincipalKind::Workload, "system:workload:reporter"));
    let account = Principal::service_account("mcp", "reporter");
    assert_eq!(
        (account.kind(), &*account.subject),
        (PrincipalKind::ServiceAccount, "system:serviceaccount:mcp:reporter")
    );
    let person = Principal::new("company", "reporter", None, None, ["reporter"]);
    assert_eq!(person.kind(), PrincipalKind::Person);
    assert!(workload.id != account.id && account.id != person.id);
}

#[test]
fn given_a_team_that_names_programs_then_they_and_no_others_are_admitted() {
    let route = route(
        "Teams",
        json!({"groups": ["finance"], "users": [], "workloads": ["reporter"], "serviceAccounts": ["mcp/indexer"]}),
    );
    assert!(route.has_service_accounts());
    for admitted in [Principal::workload("reporter", "x"), Principal::service_account("mcp", "indexer")] {
        assert!(route.authorize(&admitted).is_some(), "{admitted:?}");
    }
    for refused in [
        Principal::workload("indexer", "reporter"),
        Principal::workload("finance", "finance"),
        Principal::service_account("mcp", "reporter"),
        Principal::service_account("other", "indexer"),
        Principal::new(
            "company",
            "reporter",
            Some("reporter@example.com"),
            None,
            ["reporter", "mcp/indexer"],
        ),
    ] {
        assert!(route.authorize(&refused).is_none(), "{refused:?}");
    }
}

#[test]
fn given_a_route_for_everyone_then_programs_are_not_among_them() {
    let nobody = route("Everyone", json!({"groups": [], "users": [], "serviceAccounts": []}));
    assert!(nobody.authorize(&Principal::new("company", "ana", None, None, ["x"])).is_some());
    assert!(nobody.authorize(&Principal::workload("reporter", "x")).is_none());
    assert!(nobody.authorize(&Principal::service_account("mcp", "reporter")).is_none());
    let named = route(
        "Everyone",
        json!({"groups": [], "users": [], "workloads": ["reporter"], "serviceAccounts": []}),
    );
    assert!(!nobody.has_service_accounts() && !named.has_service_accounts());
    let tools = named.authorize(&Principal::workload("reporter", "x")).unwrap().tools;
    assert!(matches!(tools, ToolRules::AnyOf(_)) && tools.allow("read") && !tools.allow("write"));
}

#[test]
fn given_a_workload_whose_secret_is_not_there_then_it_alone_is_left_out_until_it_comes() {
    let workload = |name: &str| WorkloadConfig {
        name: name.to_owned(),
        display_name: name.to_owned(),
        credential: WorkloadCredential::Secret(SecretKey(name.to_owned())),
    };
    let secret = || SecretValue { value: SecretString::from("x"), allowed_hosts: Vec::new() };
    let mut gateway = contract("Teams", json!({"groups": [], "users": [], "serviceAccounts": []})).gateway;
    gateway.clients.workloads = vec![workload("here"), workload("late")];
    let mut assembly = RouteTableBuilder::default();
    assembly.put_credential(SecretKey("here".to_owned()), secret());
    assembly.put_gateway(gateway);
    for _ in 0..2 {
        let (table, problems) = assembly.table(1);
        assert_eq!(
            problems.iter().map(|problem| &problem.document).collect::<Vec<_>>(),
            [&DocumentRef::Gateway]
        );
        let workloads = &table.unwrap().gateway.workloads;
        assert!(workloads.contains_key("here") && !workloads.contains_key("late"));
    }
    assembly.put_credential(SecretKey("late".to_owned()), secret());
    let (table, problems) = assembly.table(1);
    assert!(problems.is_empty() && table.unwrap().gateway.workloads.contains_key("late"));
    assembly.remove_credential(&SecretKey("here".to_owned()));
    assert!(!assembly.table(1).0.unwrap().gateway.workloads.contains_key("here"), "withdrawn");
}
