//! A change rebuilds only dependent parts, and a document that cannot be built does not affect others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_config::{
    Access, Capabilities, CatalogSharing, ClientPolicy, GatewayConfig, IdentityProviderConfig,
    IdentityProviderKind, Members, Network, OriginAuth, OriginConfig, OriginLimits, RouteConfig, SecretKey,
    SecretValue, Selection, TeamAccess, TeamConfig, TokenLifetimes,
};
use portcullis_policy::{DocumentRef, Principal, RejectedDocument, RouteTable, RouteTableBuilder, ToolRules};
use secrecy::SecretString;
use url::Url;

fn gateway() -> GatewayConfig {
    GatewayConfig {
        name: "mcp/main".to_owned(),
        public_url: Url::parse("https://gateway.example").unwrap(),
        identity_providers: vec![IdentityProviderConfig {
            name: "company".to_owned(),
            previous_issuers: Vec::new(),
            kind: IdentityProviderKind::Development { users: Vec::new() },
        }],
        tokens: TokenLifetimes { access_seconds: 900, refresh_seconds: 3600, session_seconds: 3600 },
        store_outage_grace_seconds: 900,
        admins: Members::default(),
        clients: ClientPolicy {
            metadata_document_hosts: Vec::new(),
            dynamic_registration: true,
            workloads: Vec::new(),
        },
        trusted_proxies: Vec::new(),
        event_overload: portcullis_config::EventOverload::Drop,
    }
}

fn origin(id: &str, auth: OriginAuth) -> OriginConfig {
    OriginConfig {
        uid: format!("origin-{id}"),
        id: id.to_owned(),
        name: format!("mcp/{id}"),
        display_name: id.to_owned(),
        url: Url::parse("https://origin.example/mcp").unwrap(),
        suspended: false,
        auth,
        network: Network::default(),
        limits: OriginLimits { request_timeout_ms: 60_000, response_bytes: 1 << 20 },
        catalog_sharing: CatalogSharing::Private,
    }
}

fn route(slug: &str, origin: &str) -> RouteConfig {
    RouteConfig {
        uid: format!("route-{slug}"),
        name: format!("mcp/{slug}"),
        slug: slug.to_owned(),
        display_name: slug.to_owned(),
        description: String::new(),
        suspended: false,
        identity_provider: "company".to_owned(),
        origin: format!("origin-{origin}"),
        capabilities: Capabilities::default(),
        access: Access::Teams,
    }
}

fn team(name: &str, group: &str, slugs: &[&str]) -> TeamConfig {
    TeamConfig {
        uid: format!("team-{name}"),
        name: format!("mcp/{name}"),
        display_name: name.to_owned(),
        members: Members { groups: vec![group.to_owned()], ..Members::default() },
        access: slugs
            .iter()
            .map(|slug| TeamAccess { route: format!("route-{slug}"), tools: Selection::default() })
            .collect(),
    }
}

fn header(key: &str) -> OriginAuth {
    OriginAuth::Header {
        name: "Authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
        value: SecretKey(key.to_owned()),
    }
}

fn credential(value: &str) -> SecretValue {
    SecretValue { value: SecretString::from(value), allowed_hosts: vec!["origin.example".to_owned()] }
}

/// Two routes on `x`, one on `y`.
fn assembly() -> RouteTableBuilder {
    let mut assembly = RouteTableBuilder::default();
    assembly.put_gateway(gateway());
    assembly.put_origin(origin("x", OriginAuth::None));
    assembly.put_origin(origin("y", OriginAuth::None));
    for (slug, origin) in [("a", "x"), ("b", "x"), ("c", "y")] {
        assembly.put_route(route(slug, origin));
    }
    assembly.put_team(&team("readers", "readers", &["a", "c"]));
    assembly
}

fn whole(assembly: &mut RouteTableBuilder) -> RouteTable {
    let (table, problems) = assembly.table(1);
    assert!(problems.is_empty(), "{problems:?}");
    table.unwrap()
}

fn slugs(table: &RouteTable) -> Vec<String> {
    let mut slugs: Vec<_> = table.routes().map(|route| route.slug.to_string()).collect();
    slugs.sort();
    slugs
}

/// Slugs of the routes in `before` that `after` does not share.
fn rebuilt(before: &RouteTable, after: &RouteTable) -> Vec<String> {
    let other = |slug: &String| !Arc::ptr_eq(before.route(slug).unwrap(), after.route(slug).unwrap());
    slugs(before).into_iter().filter(other).collect()
}

fn parts(problems: &[RejectedDocument]) -> Vec<DocumentRef> {
    problems.iter().map(|problem| problem.document.clone()).collect()
}

fn admits(table: &RouteTable, slug: &str, group: &str) -> bool {
    table.route(slug).unwrap().authorize(&Principal::new("company", "ana", None, None, [group])).is_some()
}

#[test]
fn given_a_table_when_one_document_changes_then_only_the_routes_that_it_concerns_are_rebuilt() {
    let mut assembly = assembly();
    let first = whole(&mut assembly);
    assert_eq!(slugs(&first), ["a", "b", "c"]);

    let second = whole(&mut assembly);
    assert_eq!(rebuilt(&first, &second), [] as [&str; 0], "nothing has changed");

    assembly.put_route(RouteConfig { display_name: "Other".to_owned(), ..route("b", "x") });
    let third = whole(&mut assembly);
    assert_eq!(rebuilt(&second, &third), ["b"]);

    let moved = Url::parse("https://other.example/mcp").unwrap();
    assembly.put_origin(OriginConfig { url: moved.clone(), ..origin("x", OriginAuth::None) });
    let fourth = whole(&mut assembly);
    assert_eq!(rebuilt(&third, &fourth), ["a", "b"]);
    assert_eq!(fourth.route("a").unwrap().origin.url, moved);
    assert!(Arc::ptr_eq(&fourth.route("c").unwrap().curation, &first.route("c").unwrap().curation));

    assembly.put_team(&team("readers", "readers", &["a"]));
    let fifth = whole(&mut assembly);
    assert_eq!(rebuilt(&fourth, &fifth), ["a", "c"]);
    assert!(admits(&fifth, "a", "readers") && !admits(&fifth, "c", "readers"));

    assembly.put_gateway(GatewayConfig { store_outage_grace_seconds: 1, ..gateway() });
    let sixth = whole(&mut assembly);
    assert_eq!(rebuilt(&fifth, &sixth), [] as [&str; 0], "no route shows that setting");
    assert_eq!(sixth.gateway.store_outage_grace_seconds, 1);

    let elsewhere = Url::parse("https://elsewhere.example").unwrap();
    assembly.put_gateway(GatewayConfig { public_url: elsewhere, ..gateway() });
    let seventh = whole(&mut assembly);
    assert_eq!(rebuilt(&sixth, &seventh), ["a", "b", "c"]);
    assert_eq!(&*seventh.route("a").unwrap().url, "https://elsewhere.example/mcp/a");
}

/// Tools of a route that a member of `readers` may use.
fn tools(table: &RouteTable, slug: &str) -> ToolRules {
    table
        .route(slug)
        .unwrap()
        .authorize(&Principal::new("company", "ana", None, None, ["readers"]))
        .unwrap()
        .tools
}

/// A team whose members may use these tools, or all of them.
fn team_with(name: &str, access: &[(&str, Option<&str>)]) -> TeamConfig {
    let slugs: Vec<_> = access.iter().map(|(slug, _)| *slug).collect();
    let mut doc = team(name, "readers", &slugs);
    for (access, (_, tool)) in doc.access.iter_mut().zip(access) {
        access.tools.include = tool.map(|tool| vec![tool.to_owned()]);
    }
    doc
}

#[test]
fn given_a_team_when_it_has_other_tools_on_each_route_then_each_has_its_own_and_equal_ones_are_there_once() {
    let mut assembly = assembly();
    assembly
        .put_team(&team_with("readers", &[("a", Some("read")), ("b", Some("write")), ("c", Some("write"))]));
    let table = whole(&mut assembly);
    for (slug, allowed, other) in [("a", "read", "write"), ("b", "write", "read"), ("c", "write", "read")] {
        let tools = tools(&table, slug);
        assert!(tools.allow(allowed) && !tools.allow(other), "{slug}");
    }
    let (ToolRules::AnyOf(one), ToolRules::AnyOf(other)) = (tools(&table, "b"), tools(&table, "c")) else {
        panic!("teams decide");
    };
    assert!(Arc::ptr_eq(&one[0], &other[0]), "5,000 routes of a team would else hold its rules 5,000 times");
}

#[test]
fn given_the_tools_of_several_teams_then_nothing_is_to_be_filtered_where_one_of_them_has_all() {
    let mut assembly = assembly();
    assembly.put_team(&team_with("readers", &[("a", Some("read")), ("b", Some("read"))]));
    assembly.put_team(&team_with("writers", &[("a", None)]));
    assembly.put_route(RouteConfig { access: Access::Everyone, ..route("c", "y") });
    let table = whole(&mut assembly);
    for (slug, all) in [("a", true), ("b", false), ("c", true)] {
        assert_eq!(tools(&table, slug).is_passthrough(), all, "{slug}");
        assert_eq!(tools(&table, slug).allow("write"), all, "{slug}");
    }
}

/// What one caller is shown must not be cached for another, also if that one caller sees everything.
#[test]
fn given_a_team_with_some_of_the_tools_then_lists_of_the_route_depend_on_the_caller() {
    let mut assembly = assembly();
    assembly.put_team(&team_with("readers", &[("a", Some("read")), ("b", None), ("c", Some("read"))]));
    assembly.put_team(&team_with("writers", &[("a", None)]));
    assembly.put_route(RouteConfig { access: Access::Everyone, ..route("c", "y") });
    let table = whole(&mut assembly);
    let depends = |table: &RouteTable, slug| table.route(slug).unwrap().tools_depend_on_caller();
    assert!(tools(&table, "a").is_passthrough() && depends(&table, "a"));
    assert!(!depends(&table, "b"), "the team has all tools");
    assert!(!depends(&table, "c"), "everyone has all tools");
    let mut programs = team_with("programs", &[("c", Some("read"))]);
    programs.members = Members { workloads: vec!["reporter".to_owned()], ..Members::default() };
    assembly.put_team(&programs);
    assert!(depends(&whole(&mut assembly), "c"), "everyone does not include programs");
}

#[test]
fn given_an_origin_when_it_is_suspended_then_its_routes_are_and_the_origin_stays_the_same() {
    let mut assembly = assembly();
    let before = whole(&mut assembly);
    assembly.put_origin(OriginConfig { suspended: true, ..origin("x", OriginAuth::None) });
    let after = whole(&mut assembly);
    assert!(after.route("a").unwrap().suspended && !after.route("c").unwrap().suspended);
    assert!(Arc::ptr_eq(&before.route("a").unwrap().origin, &after.route("a").unwrap().origin));
}

#[test]
fn given_documents_in_any_order_when_all_are_there_then_the_table_is_the_same() {
    let mut assembly = RouteTableBuilder::default();
    assembly.put_team(&team("writers", "writers", &["a"]));
    assembly.put_route(route("a", "x"));
    assert!(assembly.table(1).0.is_none(), "no gateway, no table");
    assembly.put_gateway(gateway());
    let (table, problems) = assembly.table(1);
    assert_eq!(slugs(&table.unwrap()), [] as [&str; 0]);
    assert_eq!(parts(&problems), [DocumentRef::Route("route-a".into())], "it waits for its origin");
    assembly.put_origin(origin("x", header("mcp/key/token")));
    let (_, problems) = assembly.table(1);
    assert!(problems.iter().any(|it| it.error.to_string().contains("mcp/key/token")), "{problems:?}");
    assembly.put_credential(SecretKey("mcp/key/token".to_owned()), credential("t"));
    assert!(admits(&whole(&mut assembly), "a", "writers"));
    assembly.remove_team("team-writers");
    assert!(!admits(&whole(&mut assembly), "a", "writers"));
    assembly.remove_origin("origin-x");
    assert_eq!(slugs(&assembly.table(1).0.unwrap()), [] as [&str; 0]);
    assembly.remove_gateway();
    assert!(assembly.table(1).0.is_none());
}

#[test]
fn given_an_origin_whose_new_credential_is_not_there_yet_then_the_old_one_serves_unless_it_was_taken_away() {
    let (old, new) = (SecretKey("mcp/old/t".to_owned()), SecretKey("mcp/new/t".to_owned()));
    let mut assembly = assembly();
    assembly.put_credential(old.clone(), credential("old"));
    assembly.put_origin(origin("x", header(&old.0)));
    let before = whole(&mut assembly);

    assembly.put_origin(origin("x", header(&new.0)));
    let (table, problems) = assembly.table(2);
    assert_eq!(parts(&problems), [DocumentRef::Origin("origin-x".into())]);
    assert_eq!(rebuilt(&before, &table.unwrap()), [] as [&str; 0]);

    assembly.remove_credential(&old);
    let (table, problems) = assembly.table(3);
    assert_eq!(slugs(&table.unwrap()), ["c"], "a removed credential is no longer used");
    assert_eq!(problems.len(), 3);

    assembly.put_credential(new, credential("new"));
    assert_eq!(slugs(&whole(&mut assembly)), ["a", "b", "c"]);
}

#[test]
fn given_a_credential_when_it_is_replaced_then_its_origin_sends_the_new_one_and_others_are_not_touched() {
    let key = SecretKey("mcp/key/t".to_owned());
    let mut assembly = assembly();
    assembly.put_credential(key.clone(), credential("one"));
    assembly.put_origin(origin("x", header(&key.0)));
    let before = whole(&mut assembly);
    assembly.put_credential(key, credential("two"));
    let after = whole(&mut assembly);
    assert_eq!(rebuilt(&before, &after), ["a", "b"]);
}

#[test]
fn given_a_credential_for_the_query_when_no_url_could_carry_it_then_the_origin_is_not_served_without_it() {
    for (length, served) in [(10, vec!["a", "b", "c"]), (70_000, vec!["c"])] {
        let key = SecretKey("mcp/key/t".to_owned());
        let mut assembly = assembly();
        assembly.put_credential(key.clone(), credential(&"k".repeat(length)));
        assembly.put_origin(origin("x", OriginAuth::QueryParameter { name: "key".to_owned(), value: key }));
        let (table, problems) = assembly.table(1);
        assert_eq!(slugs(&table.unwrap()), served, "{problems:?}");
        assert!(
            served.len() == 3 || problems[0].error.to_string().contains("query parameter key"),
            "{problems:?}"
        );
    }
}

#[test]
fn given_two_routes_with_one_slug_when_built_then_the_one_that_had_it_keeps_it_until_it_lets_go() {
    let mut assembly = assembly();
    whole(&mut assembly);
    assembly.put_route(RouteConfig { uid: "route-0".to_owned(), ..route("a", "y") });
    let (table, problems) = assembly.table(2);
    assert_eq!(&*table.unwrap().route("a").unwrap().uid, "route-a");
    assert_eq!(parts(&problems), [DocumentRef::Route("route-0".into())]);
    assert!(problems[0].error.to_string().contains("the slug a is taken"), "{}", problems[0].error);
    // The two routes swap their slugs in one step.
    assembly.put_route(RouteConfig { uid: "route-a".to_owned(), ..route("z", "x") });
    let table = whole(&mut assembly);
    assert_eq!(&*table.route("a").unwrap().uid, "route-0");
    assert_eq!(&*table.route("z").unwrap().uid, "route-a");
    assert_eq!(&*table.route_by_uid("route-a").unwrap().slug, "z");
    assembly.remove_route("route-0");
    assert_eq!(slugs(&whole(&mut assembly)), ["b", "c", "z"]);
}

#[test]
fn given_new_routes_with_one_slug_then_the_lowest_uid_gets_it() {
    let mut assembly = assembly();
    // Many pairs: maps iterate in random order, in which a single pair could be right by chance.
    let slugs: Vec<String> = (0..32).map(|number| format!("new{number}")).collect();
    for slug in &slugs {
        for uid in ["2", "1", "3"] {
            assembly.put_route(RouteConfig { uid: format!("{uid}-{slug}"), ..route(slug, "x") });
        }
    }
    let (table, problems) = assembly.table(1);
    let table = table.unwrap();
    for slug in &slugs {
        assert_eq!(*table.route(slug).unwrap().uid, format!("1-{slug}"));
    }
    assert_eq!(problems.len(), 2 * slugs.len(), "{problems:?}");
}

/// Checks a generous time bound that only a complete rebuild would exceed. Prints the measured times.
#[test]
fn given_five_thousand_routes_when_one_document_changes_then_the_next_table_is_cheap() {
    let mut assembly = RouteTableBuilder::default();
    assembly.put_gateway(gateway());
    for number in 0..10 {
        assembly.put_origin(origin(&number.to_string(), OriginAuth::None));
    }
    let names: Vec<String> = (0..5_000).map(|number| format!("r{number}")).collect();
    let started = Instant::now();
    for (number, name) in names.iter().enumerate() {
        let tools = Selection {
            include: Some((0..10).map(|tool| format!("tool_{tool}")).collect()),
            ..Selection::default()
        };
        let capabilities = Capabilities { tools, ..Capabilities::default() };
        assembly.put_route(RouteConfig { capabilities, ..route(name, &(number % 5).to_string()) });
    }
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    assembly.put_team(&team("everyone", "all", &all));
    let mut table = whole(&mut assembly);
    println!("5,000 routes from nothing: {:?}", started.elapsed());
    let mut measure = |what: &str, change: &mut dyn FnMut(&mut RouteTableBuilder, usize)| {
        let mut times: Vec<Duration> = (0..20)
            .map(|turn| {
                let started = Instant::now();
                change(&mut assembly, turn);
                table = whole(&mut assembly);
                started.elapsed()
            })
            .collect();
        times.sort();
        println!("{what}: median {:?}, worst {:?}", times[10], times[19]);
        times[10]
    };
    let one = measure("one route", &mut |assembly, turn| {
        assembly.put_route(RouteConfig { description: turn.to_string(), ..route("r7", "2") });
    });
    let thousand = measure("an origin of 1,000 routes", &mut |assembly, turn| {
        assembly.put_origin(OriginConfig { display_name: turn.to_string(), ..origin("3", OriginAuth::None) });
    });
    let every = measure("a team of 5,000 routes", &mut |assembly, turn| {
        assembly.put_team(&team("everyone", &turn.to_string(), &all));
    });
    assert_eq!(table.routes().count(), 5_000);
    for time in [one, thousand, every] {
        assert!(time < Duration::from_millis(500), "{time:?}");
    }
}
