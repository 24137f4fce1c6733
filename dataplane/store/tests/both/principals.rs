use portcullis_store::{IdentityChange, PrincipalRow};

use crate::test_database::{count_winners, on_both_databases, run_concurrently};

fn ana() -> PrincipalRow {
    PrincipalRow {
        id: "ana".into(),
        identity_provider: "company".into(),
        subject: "company:1".into(),
        email: None,
        display_name: Some("Ana".into()),
        group_names: "[]".into(),
    }
}

on_both_databases! {
    async fn given_a_person_when_described_otherwise_then_it_is_logged_and_otherwise_not(place: TestDatabase) {
        let store = place.store().await;
        assert_eq!(store.principal("ana").await.unwrap(), None);
        assert!(store.put_principal(&ana(), 1_000, 9_000).await.unwrap());
        assert!(!store.put_principal(&ana(), 1_001, 9_001).await.unwrap());
        assert_eq!(store.principal("ana").await.unwrap(), Some(ana()));
        for (at, row) in [
            (2_000, PrincipalRow { email: Some("ana@example.com".into()), ..ana() }),
            (3_000, PrincipalRow { display_name: None, ..ana() }),
            (4_000, PrincipalRow { group_names: r#"["finance"]"#.into(), ..ana() }),
        ] {
            assert!(store.put_principal(&row, at, 9_000).await.unwrap());
            assert_eq!(store.principal("ana").await.unwrap(), Some(row));
            let changes = store.changes_since(at, 0).await.unwrap();
            assert_eq!(changes.len(), 1);
            assert_eq!((&changes[0].change, changes[0].changed_at), (&IdentityChange::ChangedPrincipal("ana".into()), at));
        }
    }

    async fn given_a_person_when_all_replicas_hear_the_same_of_them_at_once_then_it_is_one_change(place: TestDatabase) {
        let replicas = [place.store().await, place.store().await, place.store().await];
        let outcomes = run_concurrently((0..24).map(|task: usize| {
            let store = replicas[task % 3].clone();
            async move { store.put_principal(&ana(), 1_000, 9_000).await.unwrap() }
        }))
        .await;
        assert_eq!(count_winners(&outcomes), 1);
        assert_eq!(replicas[0].changes_since(0, 0).await.unwrap()[0].changed_at, 1_000);
    }

    async fn given_a_name_with_a_character_that_no_text_can_hold_when_described_twice_then_it_is_one_change(place: TestDatabase) {
        let store = place.store().await;
        let row = PrincipalRow { display_name: Some("A\0na".into()), ..ana() };
        assert!(store.put_principal(&row, 1_000, 9_000).await.unwrap());
        assert!(!store.put_principal(&row, 1_001, 9_000).await.unwrap());
    }

    async fn given_people_when_sought_then_they_are_found_by_subject_email_and_name_page_by_page(place: TestDatabase) {
        let store = place.store().await;
        for (number, name, email) in [(1, "Ana", None), (2, "Bo_b", Some("Bob@example.com")), (3, "Eve", Some("eve@example.com"))] {
            let row = PrincipalRow {
                id: format!("p{number}"),
                subject: format!("company:{number}"),
                email: email.map(Into::into),
                display_name: Some(name.into()),
                ..ana()
            };
            store.put_principal(&row, 1, 9).await.unwrap();
        }
        let names = async |sought: &str, after: &str, limit| {
            let rows = store.search_principals(sought, after, limit).await.unwrap();
            rows.into_iter().map(|row| row.display_name.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names("", "", 2).await, ["Ana", "Bo_b"]);
        assert_eq!(names("", "company:2", 2).await, ["Eve"]);
        assert_eq!(names("ANA", "", 9).await, ["Ana"]);
        assert_eq!(names("bob@", "", 9).await, ["Bo_b"]);
        assert_eq!(names("company:3", "", 9).await, ["Eve"]);
        assert_eq!(names("_", "", 9).await, ["Bo_b"], "a letter like any other");
        assert_eq!(names("nobody", "", 9).await, [""; 0]);
    }
}
