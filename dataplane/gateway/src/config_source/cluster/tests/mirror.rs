//! Tests of the mirror: changes go in, tables and reports come out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_config_distribution::{DocumentKind, object_name};
use portcullis_policy::Principal;
use serde_json::json;

use super::operator::{Operator, TOKEN, anywhere, header, keys, slugs};
use crate::config_source::cluster::mirror::{ConfigMirror, MirrorEffect};
use crate::config_source::cluster::object::{WatchEvent, WatchedObject, WatchedResource};

fn put(holdings: &mut ConfigMirror, object: &WatchedObject) {
    let resource =
        if object.label == "credential" { WatchedResource::Secrets } else { WatchedResource::ConfigMaps };
    holdings.apply(WatchEvent::Applied(resource, object.clone()));
}

fn list(holdings: &mut ConfigMirror, maps: &[&WatchedObject], secrets: &[&WatchedObject]) {
    let owned = |objects: &[&WatchedObject]| objects.iter().map(|object| (*object).clone()).collect();
    holdings.apply(WatchEvent::Listed(WatchedResource::ConfigMaps, owned(maps)));
    holdings.apply(WatchEvent::Listed(WatchedResource::Secrets, owned(secrets)));
}

fn observed(holdings: &ConfigMirror) -> BTreeMap<String, String> {
    holdings.report().observed
}

/// A gateway, an origin with a credential, a route to it and a team.
fn served(operator: &mut Operator) -> (ConfigMirror, [WatchedObject; 5]) {
    let objects = [
        operator.gateway("https://gateway.example"),
        operator.origin("x", &header()),
        operator.route("a", "a", "x"),
        operator.team("t", "a"),
        operator.credential("one"),
    ];
    let mut holdings = ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), Vec::new());
    let [gateway, origin, route, team, credential] = &objects;
    list(&mut holdings, &[gateway, origin, route, team], &[credential]);
    (holdings, objects)
}

#[test]
fn given_a_publication_when_both_watches_have_listed_it_then_it_is_served_and_reported() {
    let mut operator = Operator::new();
    let (mut holdings, _) = served(&mut operator);
    assert!(holdings.is_complete() && holdings.is_stale() && !holdings.is_empty());
    let table = holdings.table(1).unwrap();
    assert_eq!(slugs(&table), ["a"]);
    let ana = Principal::new("company", "ana", None, None, ["readers"]);
    assert!(table.route("a").unwrap().authorize(&ana).is_some());
    let report = holdings.report();
    let versions = [("configmaps", "104"), ("secrets", "105")];
    assert_eq!(report.observed, versions.map(|(of, version)| (of.to_owned(), version.to_owned())).into());
    assert_eq!(report.rejected, []);
    // A replica that restores the same objects writes the same report.
    let (other, _) = served(&mut Operator { keys: Arc::clone(&operator.keys), version: 500 });
    assert_eq!(report.table_hash.len(), 32);
    let hash_of_credentials_differs = other.report().table_hash;
    assert_ne!(
        hash_of_credentials_differs, report.table_hash,
        "sealing one value twice gives different envelopes"
    );
    let mut same = ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), Vec::new());
    same.restore(holdings.to_snapshot());
    assert_eq!(same.report(), report);
}

#[test]
fn given_a_document_that_does_not_verify_when_it_comes_then_the_last_good_one_stays_and_it_is_reported() {
    let mut operator = Operator::new();
    let (mut holdings, [_, _, route, ..]) = served(&mut operator);
    holdings.table(1).unwrap();
    let mut forged = route.clone();
    forged.version = 200;
    let document = forged.data.get_mut("document").unwrap();
    *document = document.replace(r#""slug":"a""#, r#""slug":"stolen""#);
    put(&mut holdings, &forged);
    assert!(!holdings.is_stale());
    assert_eq!(holdings.rejections(), 1);
    let report = holdings.report();
    assert_eq!(report.observed["configmaps"], "200");
    let [rejection] = report.rejected.as_slice() else { panic!("{:?}", report.rejected) };
    assert_eq!((&rejection.name, rejection.resource_version.as_str()), (&route.name, "200"));
    assert!(rejection.reason.starts_with("Forged"), "{}", rejection.reason);
    // The same version again, as after a relist, does not count as another rejection.
    put(&mut holdings, &forged);
    assert_eq!(holdings.rejections(), 1);
    // A document of one route in the object of another, with its own MAC.
    let mut moved = operator.route("b", "b", "x");
    moved.name = object_name(DocumentKind::Route, "c");
    put(&mut holdings, &moved);
    assert_eq!(holdings.rejections(), 2);
    assert_eq!(slugs(&holdings.table(2).unwrap()), ["a"]);
    // The operator writes the document again: it is valid.
    let again = WatchedObject { version: 300, ..route };
    put(&mut holdings, &again);
    holdings.apply(WatchEvent::Deleted(WatchedResource::ConfigMaps, WatchedObject { version: 301, ..moved }));
    assert_eq!(holdings.report().rejected, []);
    assert_eq!(observed(&holdings)["configmaps"], "301");
}

#[test]
fn given_objects_that_go_when_told_or_when_a_fresh_list_lacks_them_then_they_are_no_longer_served() {
    let mut operator = Operator::new();
    let (mut holdings, [gateway, origin, route, team, credential]) = served(&mut operator);
    let second = operator.route("b", "b", "x");
    put(&mut holdings, &second);
    assert_eq!(slugs(&holdings.table(1).unwrap()), ["a", "b"]);
    holdings.apply(WatchEvent::Deleted(
        WatchedResource::ConfigMaps,
        WatchedObject { version: 400, ..route.clone() },
    ));
    assert_eq!(slugs(&holdings.table(2).unwrap()), ["b"]);
    let route = operator.route("a", "a", "x");
    list(&mut holdings, &[&gateway, &origin, &route, &team], &[&credential]);
    assert_eq!(slugs(&holdings.table(3).unwrap()), ["a"]);
    // A list sets the observed version to its own highest version.
    assert_eq!(observed(&holdings)["configmaps"], "107");
    list(&mut holdings, &[], &[]);
    assert!(holdings.table(4).is_none());
    assert!(holdings.is_empty());
}

#[test]
fn given_a_fresh_list_of_what_is_held_when_taken_in_then_nothing_is_built_anew() {
    let mut operator = Operator::new();
    let (mut holdings, [gateway, origin, mut route, team, credential]) = served(&mut operator);
    holdings.table(1).unwrap();
    route.version = 900; // an annotation changed
    list(&mut holdings, &[&gateway, &origin, &route, &team], &[&credential]);
    assert!(!holdings.is_stale());
    assert_eq!(observed(&holdings)["configmaps"], "900");
}

#[test]
fn given_an_origin_before_its_credential_when_built_then_it_is_reported_at_its_version_and_served_once_both_are_there()
 {
    let mut operator = Operator::new();
    let mut holdings = ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), Vec::new());
    let gateway = operator.gateway("https://gateway.example");
    let (origin, route) = (operator.origin("x", &header()), operator.route("a", "a", "x"));
    list(&mut holdings, &[&gateway, &origin, &route], &[]);
    assert_eq!(slugs(&holdings.table(1).unwrap()), [] as [&str; 0]);
    let mut rejected = holdings.report().rejected;
    rejected.sort_by(|one, other| one.resource_version.cmp(&other.resource_version));
    let [of_origin, of_route] = rejected.as_slice() else { panic!("{rejected:?}") };
    assert_eq!((&of_origin.name, of_origin.resource_version.as_str()), (&origin.name, "102"));
    assert!(of_origin.reason.contains(TOKEN), "{}", of_origin.reason);
    assert_eq!((&of_route.name, of_route.resource_version.as_str()), (&route.name, "103"));
    put(&mut holdings, &operator.credential("one"));
    assert_eq!(slugs(&holdings.table(2).unwrap()), ["a"]);
    assert_eq!(holdings.report().rejected, []);
}

#[test]
fn given_a_gateway_with_a_sign_in_without_passwords_when_the_replica_listens_for_all_then_it_is_refused() {
    let mut operator = Operator::new();
    let development = operator.gateway_with("http://127.0.0.1:8080", json!({"development": {"users": []}}));
    let mut open = ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), Vec::new());
    put(&mut open, &development);
    assert!(open.table(1).is_none());
    assert!(open.report().rejected[0].reason.contains("development sign-in"));
    assert!(!open.is_empty(), "a gateway is published but not served: not ready");
    let mut closed = ConfigMirror::new(operator.keys, SocketAddr::from(([127, 0, 0, 1], 0)), Vec::new());
    put(&mut closed, &development);
    assert!(closed.table(1).is_some());
}

#[test]
fn given_a_snapshot_when_restored_then_it_is_verified_and_what_was_listed_already_is_newer() {
    let mut operator = Operator::new();
    let (holdings, [gateway, origin, ..]) = served(&mut operator);
    let publication = holdings.to_snapshot();
    assert_eq!(publication.objects.len(), 5);

    let mut restored = ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), Vec::new());
    restored.restore(publication.clone());
    assert!(!restored.is_complete());
    assert_eq!(slugs(&restored.table(1).unwrap()), ["a"]);
    assert_eq!(observed(&restored), observed(&holdings));

    let mut half = ConfigMirror::new(operator.keys, anywhere(), Vec::new());
    half.apply(WatchEvent::Listed(WatchedResource::ConfigMaps, vec![gateway, origin]));
    half.restore(publication.clone());
    assert_eq!(
        slugs(&half.table(1).unwrap()),
        [] as [&str; 0],
        "the fresh list without the route overrides the snapshot"
    );
    assert_eq!(observed(&half)["configmaps"], "102");

    let mut strangers = ConfigMirror::new(keys(), anywhere(), Vec::new());
    strangers.restore(publication);
    assert!(strangers.table(1).is_none());
    assert_eq!(strangers.rejections(), 5);
}

#[test]
fn given_objects_of_a_later_key_when_the_key_comes_then_they_are_believed() {
    let mut operator = Operator::new();
    let (_, [gateway, origin, route, team, credential]) = served(&mut operator);
    let ours = keys();
    let mut holdings = ConfigMirror::new(Arc::clone(&ours), anywhere(), Vec::new());
    list(&mut holdings, &[&gateway, &origin, &route, &team], &[&credential]);
    assert_eq!(holdings.report().rejected.len(), 5);
    let text = "a key ring".to_owned();
    let published = WatchedObject {
        name: "portcullis-keys".to_owned(),
        version: 700,
        label: "keys".to_owned(),
        data: [("keys.json".to_owned(), text.clone())].into(),
    };
    assert_eq!(
        holdings.apply(WatchEvent::Applied(WatchedResource::Secrets, published)),
        [MirrorEffect::Keys(text)]
    );
    ours.replace_with(&operator.keys);
    holdings.reverify_rejected();
    assert_eq!(slugs(&holdings.table(1).unwrap()), ["a"]);
    assert_eq!(holdings.report().rejected, []);
}

#[test]
fn given_objects_of_other_kinds_when_they_come_then_they_are_left_alone() {
    let mut operator = Operator::new();
    let mut holdings = ConfigMirror::new(Arc::clone(&operator.keys), anywhere(), Vec::new());
    let strange = WatchedObject {
        name: "n".to_owned(),
        version: 9,
        label: "novelty".to_owned(),
        ..WatchedObject::default()
    };
    put(&mut holdings, &strange);
    let owner = WatchedObject { label: "owner".to_owned(), ..strange.clone() };
    put(&mut holdings, &owner);
    // A ConfigMap with the label of a credential.
    let mut disguised = operator.credential("one");
    disguised.name = "n".to_owned();
    holdings.apply(WatchEvent::Applied(WatchedResource::ConfigMaps, disguised));
    assert_eq!(holdings.report().rejected, []);
    assert!(holdings.is_empty());
}

#[test]
fn given_more_rejections_than_fit_when_reported_then_nothing_is_claimed_to_be_observed() {
    let mut operator = Operator::new();
    let (mut holdings, _) = served(&mut operator);
    for number in 0..400_u64 {
        let name = format!("route-{number}");
        put(
            &mut holdings,
            &WatchedObject { name, version: number, label: "route".to_owned(), ..WatchedObject::default() },
        );
    }
    let report = holdings.report();
    assert_eq!(report.rejected.len(), 300);
    assert!(report.observed.is_empty());
    assert!(serde_json::to_string(&report).unwrap().len() < 200 * 1024, "it fits into an annotation");
}
