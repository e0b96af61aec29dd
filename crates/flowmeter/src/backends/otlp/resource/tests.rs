//! The resource from the environment.

use super::resource_from_environment;

fn resource(service: Option<&str>, attributes: Option<&str>) -> (Vec<(String, String)>, Vec<String>) {
    let variables = |name: &str| match name {
        "OTEL_SERVICE_NAME" => service.map(str::to_owned),
        "OTEL_RESOURCE_ATTRIBUTES" => attributes.map(str::to_owned),
        _ => None,
    };
    let (resource, warnings) = resource_from_environment(&variables);
    let pairs = resource
        .iter()
        .map(|(key, _)| (key.to_string(), resource.get_str(key).unwrap().to_owned()));
    (pairs.collect(), warnings)
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    pairs.collect()
}

#[test]
fn attributes_are_read_and_decoded() {
    let (pairs, warnings) = resource(None, Some("a.b=1, c=x%2Cy%3Dz ,service.name=from-attributes"));
    assert_eq!(
        pairs,
        owned(&[("a.b", "1"), ("c", "x,y=z"), ("service.name", "from-attributes")])
    );
    assert!(warnings.is_empty());
}

#[test]
fn the_service_name_wins() {
    let (pairs, _) = resource(Some("mine"), Some("service.name=other"));
    assert_eq!(pairs, owned(&[("service.name", "mine")]));
}

#[test]
fn one_fault_discards_all_attributes_but_not_the_service_name() {
    for faulty in ["a=1,b", "a=1,=2", "a=1,b=%ff"] {
        let (pairs, warnings) = resource(Some("mine"), Some(faulty));
        assert_eq!(pairs, owned(&[("service.name", "mine")]), "{faulty}");
        assert_eq!(warnings.len(), 1, "{faulty}");
        assert!(
            warnings[0].starts_with("OTEL_RESOURCE_ATTRIBUTES: "),
            "{warnings:?}"
        );
    }
}

#[test]
fn empty_counts_as_unset() {
    assert_eq!(resource(Some(" "), Some("")), (Vec::new(), Vec::new()));
}
