//! Who sees what was learned from whom: lists, server info, templates, and the report to the operator.

use std::collections::BTreeMap;

use portcullis_config_distribution::ListKind;
use serde_json::{Value, json};

use super::*;
use crate::golden::{pretty, table_with};

const START: UnixMillis = UnixMillis(1_790_000_000_000);
const UID: &str = "origin-uid";

struct World {
    catalogs: Catalogs,
    store: Store,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        let (store, clock) = (Store::in_memory().await.unwrap(), Clock::manual(START));
        let catalogs = Catalogs::load(store.clone(), clock.clone()).await.unwrap();
        Self { catalogs, store, clock }
    }

    /// The catalogs of a process that starts now.
    async fn restarted(&self) -> Catalogs {
        Catalogs::load(self.store.clone(), self.clock.clone()).await.unwrap()
    }

    /// Waits until as many sections are stored.
    async fn stored(&self, count: usize) -> Vec<CatalogRow> {
        for _ in 0..1000 {
            let rows = self.store.catalogs().await.unwrap();
            if rows.len() == count {
                return rows;
            }
            tokio::task::yield_now().await;
        }
        panic!("{count} sections are not stored");
    }

    fn shows(&self, origin: &Origin, part: CatalogSection) -> Option<Vec<String>> {
        let items = self.catalogs.shared_items(origin, part)?;
        Some(items.iter().map(|item| item.get().to_owned()).collect())
    }

    fn report(&self, may_show: bool) -> ObservedCatalogs {
        self.catalogs.observations(|_| may_show)
    }
}

fn personal_modes() -> [Value; 3] {
    let client = json!({"id": "gateway", "secret": null, "token_endpoint_auth_method": "none"});
    let server = "https://as.example.com";
    [
        json!({"userOAuth": {"scopes": [], "registration": "auto"}}),
        json!({"idJag": {"issuer": server, "client": client, "scopes": []}}),
        json!({"tokenExchange": {
            "server": {"issuer": server}, "client": client, "audience": null, "scopes": [],
            "subject_token": "id_token", "subject_hosts": null,
        }}),
    ]
}

fn origin(auth: &Value, sharing: &str) -> Arc<Origin> {
    let table = table_with(|config| {
        let members = &mut config["origins"][0];
        (members["auth"], members["catalogSharing"]) = (auth.clone(), json!(sharing));
    });
    Arc::clone(table.origin("origin-id").unwrap())
}

fn private_origin() -> Arc<Origin> {
    origin(&personal_modes()[0], "private")
}

fn person(name: &str) -> PrincipalId {
    PrincipalId::of("company", name)
}

fn page(part: CatalogSection, items: Vec<&str>, public: bool) -> ObservedPage<'_> {
    ObservedPage { part, items, public, continues: false, is_continued: false }
}

const TOOL: &str = r#"{"name":"payroll","description":"of Ana"}"#;
const TEMPLATE: &str = r#"{"name":"x","uriTemplate":"vault://ana/{id}"}"#;
const GREETING: &str = r#"{"capabilities":{"tools":{}},"instructions":"You help Ana."}"#;

const EVERYTHING: [(CatalogSection, &str); 5] = [
    (CatalogSection::Initialize, GREETING),
    (CatalogSection::Discover, GREETING),
    (CatalogSection::Tools, TOOL),
    (CatalogSection::Prompts, TOOL),
    (CatalogSection::Templates, TEMPLATE),
];

#[tokio::test]
async fn given_what_a_personal_account_shows_then_it_is_neither_shown_nor_stored() {
    for auth in personal_modes() {
        let (world, origin) = (World::new().await, origin(&auth, "private"));
        for (part, item) in EVERYTHING {
            assert!(world.catalogs.needs_refresh(&origin, &person("ana"), part));
            world.catalogs.learn(&origin, &person("ana"), &page(part, vec![item], false));
            assert!(!world.catalogs.needs_refresh(&origin, &person("ana"), part));
            assert_eq!(world.shows(&origin, part), None, "{part:?}");
        }
        assert!(world.stored(0).await.is_empty());
        let text = pretty(&json!(world.report(true)));
        assert!(!text.contains("payroll") && !text.contains("vault") && !text.contains("Ana"), "{text}");
        let observed = world.report(true);
        let observed = observed.get(UID).unwrap();
        for kind in [ListKind::Tools, ListKind::Prompts, ListKind::ResourceTemplates] {
            assert_eq!((observed.count(kind), observed.names(kind)), (1, None));
        }
    }
}

#[tokio::test]
async fn given_a_list_that_is_public_or_a_catalog_that_is_shared_then_everybody_sees_it_without_instructions()
{
    let modes = personal_modes();
    let shared_account = json!({"sharedOAuth": {"scopes": [], "registration": "auto"}});
    let cases =
        [(&modes[0], "private", true), (&modes[1], "shared", false), (&shared_account, "private", false)];
    for (auth, sharing, public) in cases {
        let (world, origin) = (World::new().await, origin(auth, sharing));
        for (part, item) in EVERYTHING {
            world.catalogs.learn(&origin, &person("ana"), &page(part, vec![item], public));
        }
        let greeting = r#"{"capabilities":{"tools":{}}}"#;
        for (part, item) in EVERYTHING {
            let expected = if item == GREETING { greeting } else { item };
            assert_eq!(world.shows(&origin, part), Some(vec![expected.to_owned()]), "{auth} {part:?}");
        }
        let rows = world.stored(EVERYTHING.len()).await;
        assert!(rows.iter().all(|row| !row.document.contains("instructions")));
        let restarted = world.restarted().await;
        assert_eq!(restarted.shared_items(&origin, CatalogSection::Tools).unwrap()[0].get(), TOOL);
        let observed = world.report(!origin.has_private_catalog());
        assert_eq!(observed.get(UID).unwrap().names(ListKind::Tools), Some(["payroll".to_owned()].into()));
    }
}

#[tokio::test]
async fn given_a_shared_list_when_it_becomes_private_then_it_is_shown_no_more() {
    let auth = &personal_modes()[0];
    let (world, shared, private) = (World::new().await, origin(auth, "shared"), private_origin());
    let tools = |public| page(CatalogSection::Tools, vec![TOOL], public);
    world.catalogs.learn(&shared, &person("ana"), &tools(false));
    world.stored(1).await;
    assert_eq!(world.shows(&private, CatalogSection::Tools), None, "the owner no longer shares it");
    assert_eq!(world.report(false).get(UID).unwrap().names(ListKind::Tools), None);
    assert!(world.restarted().await.shared_items(&private, CatalogSection::Tools).is_none());

    world.catalogs.learn(&private, &person("ana"), &tools(true));
    assert!(world.shows(&private, CatalogSection::Tools).is_some());
    world.catalogs.learn(&private, &person("bob"), &tools(false));
    assert_eq!(world.shows(&private, CatalogSection::Tools), None, "the origin no longer declares it public");
    world.stored(0).await;
    let observed = world.report(true);
    assert_eq!(observed.get(UID).unwrap().names(ListKind::Tools), None);
    assert_eq!(observed.get(UID).unwrap().count(ListKind::Tools), 1);
}

#[tokio::test]
async fn given_what_a_common_credential_showed_when_the_origin_asks_for_accounts_then_it_is_not_shown() {
    let machine = json!({"sharedOAuth": {"scopes": [], "registration": "auto"}});
    let (world, common) = (World::new().await, origin(&machine, "private"));
    world.catalogs.learn(&common, &person("ana"), &page(CatalogSection::Tools, vec![TOOL], false));
    assert!(world.shows(&common, CatalogSection::Tools).is_some());
    for sharing in ["private", "shared"] {
        assert_eq!(world.shows(&origin(&personal_modes()[0], sharing), CatalogSection::Tools), None);
    }
}

#[tokio::test]
async fn given_a_list_of_pages_then_it_is_as_private_as_its_most_private_page() {
    let (world, origin) = (World::new().await, private_origin());
    let (ana, part) = (person("ana"), CatalogSection::Tools);
    let learn = |name: &'static str, public, continues| {
        let page = ObservedPage { part, items: vec![name], public, continues, is_continued: false };
        world.catalogs.learn(&origin, &ana, &page);
    };
    learn(r#"{"name":"b"}"#, true, true);
    assert_eq!(world.shows(&origin, part), None, "a list does not begin with its second page");
    learn(r#"{"name":"a"}"#, true, false);
    learn(r#"{"name":"b"}"#, true, true);
    learn(r#"{"name":"b"}"#, true, true);
    assert_eq!(world.shows(&origin, part).unwrap(), [r#"{"name":"a"}"#, r#"{"name":"b"}"#]);
    learn(r#"{"name":"c"}"#, false, true);
    assert_eq!(world.shows(&origin, part), None);
}

#[tokio::test]
async fn given_templates_of_one_person_then_they_are_that_persons_alone_even_in_a_shared_catalog() {
    for sharing in ["private", "shared"] {
        let (world, origin) = (World::new().await, origin(&personal_modes()[0], sharing));
        let templates = page(CatalogSection::Templates, vec![TEMPLATE], true);
        world.catalogs.learn(&origin, &person("ana"), &templates);
        let ana = world.catalogs.templates(&origin, &person("ana")).unwrap();
        assert_eq!(ana.iter().collect::<Vec<_>>(), ["vault://ana/{id}"]);
        assert!(world.catalogs.templates(&origin, &person("bob")).is_none(), "{sharing}");
        assert!(world.catalogs.needs_refresh(&origin, &person("bob"), CatalogSection::Templates));
    }
    let (world, common) = (World::new().await, origin(&json!("none"), "private"));
    world.catalogs.learn(&common, &person("ana"), &page(CatalogSection::Templates, vec![TEMPLATE], false));
    assert!(world.catalogs.templates(&common, &person("bob")).is_some(), "all use the same credential");
    assert_eq!(world.shows(&common, CatalogSection::Templates), None, "nobody connects an account there");
}

#[tokio::test]
async fn given_a_list_of_several_pages_then_none_of_them_alone_says_which_templates_there_are() {
    let (world, origin, ana) = (World::new().await, private_origin(), person("ana"));
    for (continues, is_continued) in [(false, true), (true, false), (true, true)] {
        let part = CatalogSection::Templates;
        let page = ObservedPage { part, items: vec![TEMPLATE], public: false, continues, is_continued };
        world.catalogs.learn(&origin, &ana, &page);
        assert!(world.catalogs.templates(&origin, &ana).is_none());
    }
    let learn = |template: &str, complete| {
        let item = json!({"uriTemplate": template}).to_string();
        world.catalogs.learn_templates(&origin, &ana, [item.as_str()].into_iter(), complete);
        let known = world.catalogs.templates(&origin, &ana).unwrap();
        known.iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(learn("a://{x}", true), ["a://{x}"]);
    assert_eq!(learn("b://{x}", false), ["a://{x}", "b://{x}"], "an incomplete list adds to what is known");
    assert_eq!(learn("c://{x}", true), ["c://{x}"]);
}

#[tokio::test]
async fn given_templates_without_end_then_they_are_bounded_and_a_denial_by_them_does_not_last() {
    let (world, origin, ana) = (World::new().await, private_origin(), person("ana"));
    let items: Vec<_> =
        (0..5_000).map(|number| json!({"uriTemplate": format!("a://{number}/{{x}}")}).to_string()).collect();
    world.catalogs.learn_templates(&origin, &ana, items.iter().map(String::as_str), true);
    let known = world.catalogs.templates(&origin, &ana).unwrap();
    assert_eq!(known.iter().count(), 1_000);
    assert!(world.catalogs.may_deny(&known));
    world.clock.advance(Duration::from_secs(61));
    assert!(!world.catalogs.may_deny(&known));
    let long = json!({"uriTemplate": "a".repeat(300_000)}).to_string();
    world.catalogs.learn_templates(&origin, &ana, [long.as_str()].into_iter(), true);
    assert_eq!(world.catalogs.templates(&origin, &ana).unwrap().iter().count(), 0);
}

#[tokio::test]
async fn given_an_account_that_is_replaced_then_what_it_was_shown_is_forgotten() {
    let (world, origin) = (World::new().await, private_origin());
    for name in ["ana", "bob"] {
        world.catalogs.learn(&origin, &person(name), &page(CatalogSection::Templates, vec![TEMPLATE], false));
    }
    let (sender, changes) = broadcast::channel(4);
    let maintained = tokio::spawn(world.catalogs.clone().maintain(changes));
    let origin_uid = Arc::clone(&origin.uid);
    sender.send(ConnectionChange { who: person("ana"), origin_uid, connected: false }).unwrap();
    drop(sender);
    maintained.await.unwrap();
    assert!(world.catalogs.templates(&origin, &person("ana")).is_none());
    assert!(world.catalogs.templates(&origin, &person("bob")).is_some());
}

#[tokio::test]
async fn given_an_origin_that_moved_then_nothing_that_was_learned_elsewhere_is_used() {
    let (world, ana) = (World::new().await, person("ana"));
    let at = |url: &str| {
        let table = table_with(|config| {
            let members = &mut config["origins"][0];
            (members["auth"], members["url"]) = (personal_modes()[0].clone(), json!(url));
        });
        Arc::clone(table.origin("origin-id").unwrap())
    };
    let (old, new) = (at("https://old.example/mcp"), at("https://new.example/mcp"));
    for (part, item) in EVERYTHING {
        world.catalogs.learn(&old, &ana, &page(part, vec![item], true));
        assert_eq!(world.shows(&new, part), None);
    }
    assert!(world.catalogs.templates(&new, &ana).is_none());
}

#[tokio::test]
async fn given_persons_who_are_shown_the_same_or_other_lists_in_turns_then_the_report_settles() {
    let (world, origin) = (World::new().await, private_origin());
    let mut hashes: BTreeMap<String, usize> = BTreeMap::new();
    for turn in 0..6 {
        for (name, tool) in [("ana", TOOL), ("bob", r#"{"name":"whoami"}"#)] {
            world.catalogs.learn(&origin, &person(name), &page(CatalogSection::Tools, vec![tool], false));
            *hashes.entry(world.catalogs.observations_hash()).or_default() += 1;
            world.clock.advance(REFRESH_INTERVAL);
        }
        assert_eq!(hashes.len(), 2, "turn {turn}: one hash after Ana's list, one after both");
    }
    assert_eq!(world.report(true).get(UID).unwrap().count(ListKind::Tools), 2);
}
