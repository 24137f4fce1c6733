//! Reading a folder returns its resources, and diagnostics with file and field.

use portcullis_compiler::{Diagnostic, ResourceId, Resources, read};

const ORIGIN: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: OriginMcp
metadata: {name: linear}
spec: {url: 'https://mcp.linear.app/mcp', auth: {none: {}}}
";

fn read_one(text: &str) -> (Resources, Vec<String>) {
    let (resources, diagnostics) = read([("linear.yaml", text)]);
    (resources, diagnostics.iter().map(Diagnostic::to_string).collect())
}

fn report(text: &str) -> String {
    read_one(text).1.join("\n")
}

/// An origin with this spec.
fn origin(spec: &str) -> String {
    format!(
        "{{apiVersion: portcullis.dev/v1alpha1, kind: OriginMcp, metadata: {{name: linear}}, spec: {spec}}}"
    )
}

/// An origin with a valid spec and these additional fields.
fn with(fields: &str) -> String {
    origin(&format!("{{url: 'https://mcp.linear.app/mcp', auth: {{none: {{}}}}, {fields}}}"))
}

#[test]
fn given_documents_and_comments_when_read_then_each_is_a_resource_in_the_default_namespace() {
    let text =
        format!("# first\n---\n{ORIGIN}---\n---\n{}", ORIGIN.replace("linear}", "other, namespace: mcp}"));
    let (resources, report) = read_one(&text);
    assert_eq!(report, Vec::<String>::new());
    let ids: Vec<_> = resources.ids().collect();
    assert_eq!(
        ids,
        [ResourceId::new("OriginMcp", "default", "linear"), ResourceId::new("OriginMcp", "mcp", "other")]
    );
}

#[test]
fn given_an_identity_in_a_manifest_when_read_then_it_is_the_folders_to_give() {
    let (mut resources, _) = read_one(&ORIGIN.replace("linear}", "linear, uid: of-another-cluster}"));
    let identities: Vec<_> = resources.uids_mut().map(|(id, uid)| (id.to_string(), uid.clone())).collect();
    assert_eq!(identities, [("OriginMcp default/linear".to_owned(), None)]);
}

#[test]
fn given_a_misspelt_field_when_read_then_it_is_named_with_its_path_and_the_nearest_one() {
    let report = report(&with("displayNam: Linear, limits: {responsBytes: 1Mi}"));
    assert!(report.contains("error: linear.yaml: OriginMcp default/linear: spec.displayNam: unknown field 'displayNam'; did you mean 'displayName'? (UnknownField)"), "{report}");
    assert!(
        report.contains(
            "spec.limits.responsBytes: unknown field 'responsBytes'; did you mean 'responseBytes'?"
        ),
        "{report}"
    );
}

#[test]
fn given_a_field_like_no_other_when_read_then_the_fields_that_there_are_are_listed() {
    let report = report(&with("limits: {burst: 3}"));
    assert!(
        report.contains("unknown field 'burst'; known fields: requestTimeout, responseBytes"),
        "{report}"
    );
    assert!(
        self::report(&origin("{url: 'https://a.example', auth: {none: {x: 1}}}"))
            .contains("no fields are allowed here, only {}")
    );
}

#[test]
fn given_an_unknown_field_when_read_then_the_resource_is_there_for_others_to_refer_to() {
    let (resources, report) = read_one(&with("displayNam: Linear"));
    assert_eq!((resources.origins.len(), report.len()), (1, 1));
}

#[test]
fn given_unknown_fields_beside_and_in_the_metadata_when_read_then_they_are_named() {
    let report = report(&format!("{}\nspce: {{}}", ORIGIN.replace("linear}", "linear, lables: {a: b}}")));
    assert!(report.contains("metadata.lables: unknown field 'lables'; did you mean 'labels'?"), "{report}");
    assert!(report.contains("spce: unknown field 'spce'; did you mean 'spec'?"), "{report}");
}

#[test]
fn given_several_mistakes_when_read_then_all_are_told_at_once() {
    let report = report(&with(
        "suspend: maybe, limits: {requestTimeout: 15 bananas, responseBytes: 10Mb!}, allowedNamespaces: x",
    ));
    for each in [
        "spec.suspend: expected true or false, found 'maybe'",
        "spec.limits.requestTimeout: '15 bananas' is not a duration; use a number and a unit",
        "spec.limits.responseBytes: '10Mb!' is not a size",
        "spec.allowedNamespaces: expected a list, found 'x'",
    ] {
        assert!(report.contains(each), "{each}\n{report}");
    }
}

#[test]
fn given_a_number_for_a_duration_when_read_then_the_unit_is_asked_for() {
    assert!(report(&with("limits: {requestTimeout: 15}")).contains("'15' is not a duration"));
    assert!(report(&with("displayName: 15")).contains("15 is not a string; write it in quotes: \"15\""));
}

#[test]
fn given_an_empty_value_when_read_then_it_counts_as_absent_as_in_an_api_server() {
    assert_eq!(report(&with("suspend: , displayName: ")), "");
    assert!(
        report(&origin("{url: 'https://a.example', auth: }")).contains("spec.auth: this field is required")
    );
}

#[test]
fn given_what_is_required_when_it_is_missing_then_it_is_named_with_what_it_is_for() {
    let report = report(&origin("{auth: {header: {name: X-Api-Key}}}"));
    assert!(report.contains("spec.url: this field is required (The Streamable HTTP endpoint"), "{report}");
    assert!(report.contains("spec.auth.header.valueRef: this field is required"), "{report}");
}

#[test]
fn given_a_value_that_is_none_of_the_choices_when_read_then_the_choices_are_told() {
    let text = "{apiVersion: portcullis.dev/v1alpha1, kind: VirtualMcp, metadata: {name: a}, \
                spec: {origins: [{name: a}, {name: b}], access: everyone, slug: Linear}}";
    let report = report(text);
    assert!(
        report.contains("spec.access: 'everyone' is not one of Teams, Everyone; did you mean Everyone?"),
        "{report}"
    );
    assert!(report.contains("spec.origins: the list has 2 entries; at most 1 are allowed"), "{report}");
    assert!(report.contains("spec.slug: 'Linear' is not a valid name; use lower-case letters"), "{report}");
}

#[test]
fn given_an_entry_twice_in_a_list_by_name_when_read_then_it_is_a_duplicate() {
    let text = "{apiVersion: portcullis.dev/v1alpha1, kind: Team, metadata: {name: a}, \
                spec: {members: {groups: [x]}, access: [{virtualMcp: a}, {virtualMcp: a}]}}";
    let report = report(text);
    assert!(
        report.contains("spec.access[1].virtualMcp: an earlier entry has the same virtualMcp 'a'"),
        "{report}"
    );
}

#[test]
fn given_an_unknown_kind_when_read_then_the_nearest_is_told() {
    let report = report(&ORIGIN.replace("OriginMcp", "OriginMpc"));
    assert!(
        report
            .contains("OriginMpc default/linear: kind: unknown kind 'OriginMpc'; did you mean 'OriginMcp'?"),
        "{report}"
    );
    let report = self::report("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}");
    assert!(report.contains("unknown kind 'Deployment'; use one of McpGateway, OriginMcp"), "{report}");
}

#[test]
fn given_another_version_when_read_then_the_right_one_is_told() {
    let report = report(&ORIGIN.replace("v1alpha1", "v1"));
    assert!(report.contains("unsupported apiVersion 'portcullis.dev/v1' for OriginMcp; write apiVersion: portcullis.dev/v1alpha1"), "{report}");
}

#[test]
fn given_what_is_no_resource_when_read_then_the_file_is_named() {
    for (text, says) in [
        ("- a\n- b\n", "this document is not a Kubernetes resource"),
        ("apiVersion: v1\n", "this document has no kind"),
        (&ORIGIN.replace("name: linear", "labels: {}"), "this OriginMcp has no name"),
        (&ORIGIN.replace("name: linear", "name: Linear_1"), "'Linear_1' is not a valid name"),
        ("kind: [OriginMcp\n", "invalid YAML"),
        ("a: 1\na: 2\n", "duplicate entry"),
    ] {
        let report = report(text);
        assert!(report.starts_with("error: linear.yaml: ") && report.contains(says), "{report}");
    }
}

#[test]
fn given_yaml_that_breaks_off_when_read_then_the_documents_before_it_are_kept() {
    let (resources, report) = read_one(&format!("{ORIGIN}---\nkind: [OriginMcp\n"));
    assert_eq!((resources.origins.len(), report.len()), (1, 1));
}

#[test]
fn given_a_resource_in_two_files_when_read_then_the_second_is_a_duplicate_that_names_the_first() {
    let (resources, diagnostics) = read([("a.yaml", ORIGIN), ("b.yaml", ORIGIN)]);
    assert_eq!(resources.origins.len(), 1);
    let report: Vec<_> = diagnostics.iter().map(Diagnostic::to_string).collect();
    assert_eq!(
        report,
        [
            "error: b.yaml: OriginMcp default/linear: this resource is also defined in a.yaml; keep one of the two (Duplicate)"
        ]
    );
}

#[test]
fn given_a_secret_when_read_then_plain_and_encoded_values_are_taken() {
    let (resources, report) = read_one(
        "{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: idp, labels: {portcullis.dev/credential: 'true'}}, \
         stringData: {plain: text}, data: {encoded: dGV4dA==}}",
    );
    assert_eq!(report, Vec::<String>::new());
    let secret = resources.secrets.first().unwrap();
    assert_eq!(secret.string_data.as_ref().unwrap()["plain"], "text");
    assert_eq!(secret.data.as_ref().unwrap()["encoded"].0, b"text");
}

#[test]
fn given_a_secret_that_is_wrong_when_read_then_no_value_is_quoted() {
    let report = report(
        "{apiVersion: v1, kind: Secret, metadata: {name: idp, labels: {portcullis.dev/credential: true}}, \
         stringData: {number: 424242}, data: {encoded: 'hunter2!'}, strngData: {a: hunter2}}",
    );
    for says in [
        "metadata.labels[portcullis.dev/credential]: the value is not a string; write it in quotes",
        "stringData.number: the value is not a string",
        "data.encoded: the value is not base64; put plain text under stringData",
        "strngData: unknown field 'strngData'; did you mean 'stringData'?",
    ] {
        assert!(report.contains(says), "{says}\n{report}");
    }
    assert!(!report.contains("424242") && !report.contains("hunter2"), "{report}");
}

#[test]
fn given_a_secret_whose_tag_its_value_does_not_fit_when_read_then_the_place_is_told_and_no_value() {
    for tag in ["int", "float", "bool", "null"] {
        let report = report(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: idp}}\nstringData: {{a: !!{tag} hunter2}}"
        ));
        assert!(report.contains("a value does not match its tag (!!…), at line 4 column 17"), "{report}");
        assert!(!report.contains("hunter2"), "{report}");
    }
}

#[test]
fn given_resources_when_debugged_then_only_names_are_shown() {
    let (resources, _) =
        read_one("{apiVersion: v1, kind: Secret, metadata: {name: idp}, stringData: {a: hunter2}}");
    assert_eq!(format!("{resources:?}"), r#"{"Secret default/idp"}"#);
}
