//! Tests of the table of node types; never runs a node.

use std::collections::HashSet;

use super::*;

#[test]
fn every_type_is_described_once_and_found_by_its_name() {
    let mut names = HashSet::new();
    for node_type in node_types() {
        assert!(names.insert(node_type.name), "{} is listed twice", node_type.name);
        assert!(std::ptr::eq(find(node_type.name).unwrap(), node_type));
        assert!(!node_type.summary.is_empty());
        let mut keys = HashSet::new();
        for param in node_type.params {
            assert!(keys.insert(param.name), "{}.{}", node_type.name, param.name);
            assert!(!param.description.is_empty());
            assert!(
                !(param.required && param.default.is_some()),
                "{}.{}",
                node_type.name,
                param.name
            );
        }
        let outputs: HashSet<_> = node_type.outputs.iter().map(|output| output.name).collect();
        assert_eq!(outputs.len(), node_type.outputs.len());
    }
    assert!(find("no-such-type").is_none());
}
