//! Which key decides on the model. Never reads the environment.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use super::*;

fn chosen(variables: &[(&str, &str)]) -> Option<DefaultModel> {
    default_model(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_first_provider_with_a_key_counts() {
    assert_eq!(chosen(&[]), None);
    assert_eq!(chosen(&[("OPENAI_API_KEY", " ")]), None);
    let both = chosen(&[("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")]).unwrap();
    assert_eq!(both.key_variable, "ANTHROPIC_API_KEY");
    let google = chosen(&[("GOOGLE_API_KEY", "k")]).unwrap();
    assert_eq!(google.model, "gemini/gemini-2.5-flash");
    assert_eq!(google.key_variable, "GOOGLE_API_KEY");
}

#[test]
fn every_provider_in_the_list_has_a_variable() {
    assert_eq!(default_model_variables().len(), PREFERRED.len());
    assert_eq!(
        &default_model_variables()[..3],
        ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"]
    );
}
