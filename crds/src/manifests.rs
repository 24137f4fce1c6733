//! The CustomResourceDefinitions as objects and as YAML. `crds/manifests/` contains the output of [`yaml`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{McpGateway, OriginMcp, Team, VirtualMcp};

/// All definitions, in the order in which the documentation introduces the kinds.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![McpGateway::crd(), OriginMcp::crd(), VirtualMcp::crd(), Team::crd()];
    for version in definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions) {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            forbid_null(schema);
        }
    }
    definitions
}

/// Removes `nullable` everywhere. Otherwise `none:` without a value would be a union member for CEL but
/// absent for serde. The API server drops nulls of fields that are not nullable before it validates, so CEL
/// and serde agree.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(forbid_null);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        forbid_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forbid_null(values);
    }
}

/// The schema of a kind's objects, without `apiVersion`, `kind` and `metadata`.
#[must_use]
pub fn schema(definition: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    definition.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()
}

/// A definition as YAML.
///
/// # Errors
/// When it cannot be serialized. A test shows that our own definitions can.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(definition)
}

/// The name of the file that holds a definition: `portcullis.dev_mcpgateways.yaml`.
#[must_use]
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn given_the_types_when_the_yaml_is_generated_then_the_committed_files_are_the_same() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        for definition in definitions() {
            let file = file_name(&definition);
            let committed = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
            assert!(
                committed == yaml(&definition).unwrap(),
                "crds/manifests/{file} is stale: run `cargo run -p portcullis-crds --example crdgen`"
            );
        }
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(
            files,
            definitions().len(),
            "crds/manifests contains a file that belongs to no definition"
        );
    }

    #[test]
    fn given_the_definitions_then_names_group_and_category_are_those_of_the_design() {
        let names: Vec<_> = definitions()
            .into_iter()
            .map(|it| {
                assert_eq!((it.spec.group.as_str(), it.spec.scope.as_str()), (crate::GROUP, "Namespaced"));
                assert_eq!(
                    it.spec.versions.first().map(|version| version.name.as_str()),
                    Some(crate::VERSION)
                );
                assert_eq!(it.spec.names.categories, Some(vec!["mcp".to_owned()]));
                (it.spec.names.kind, it.spec.names.short_names.unwrap_or_default().concat())
            })
            .collect();
        let expected =
            [("McpGateway", "mcpgw"), ("OriginMcp", "omcp"), ("VirtualMcp", "vmcp"), ("Team", "mcpteam")];
        assert_eq!(names, expected.map(|(kind, short)| (kind.to_owned(), short.to_owned())));
    }

    /// The API server estimates the cost of a CEL rule from the maximum size of its input and rejects a CRD
    /// over its budget.
    #[test]
    fn given_the_schemas_then_every_string_and_list_of_a_spec_is_bounded() {
        fn unbounded(schema: &JSONSchemaProps, path: &str, found: &mut Vec<String>) {
            match schema.type_.as_deref() {
                Some("string") if schema.max_length.is_none() && schema.enum_.is_none() => {
                    found.push(path.to_owned())
                }
                Some("array") if schema.max_items.is_none() => found.push(path.to_owned()),
                _ => {}
            }
            for (name, property) in schema.properties.iter().flatten() {
                unbounded(property, &format!("{path}.{name}"), found);
            }
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
                unbounded(items, &format!("{path}[]"), found);
            }
        }
        let mut found = Vec::new();
        for definition in definitions() {
            let spec =
                schema(&definition).and_then(|schema| schema.properties.as_ref()?.get("spec")).unwrap();
            unbounded(spec, &definition.spec.names.kind, &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn given_the_schemas_then_every_pattern_is_known_in_words() {
        fn unknown(schema: &JSONSchemaProps, found: &mut Vec<String>) {
            found.extend(
                schema.pattern.iter().filter(|it| crate::values::check_pattern(it, "").is_none()).cloned(),
            );
            schema.properties.iter().flatten().for_each(|(_, property)| unknown(property, found));
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
                unknown(items, found);
            }
        }
        let mut found = Vec::new();
        definitions().iter().filter_map(schema).for_each(|schema| unknown(schema, &mut found));
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn given_the_schemas_then_nothing_in_them_is_nullable() {
        for definition in definitions() {
            assert!(!yaml(&definition).unwrap().contains("nullable"), "{}", definition.spec.names.kind);
        }
    }
}
