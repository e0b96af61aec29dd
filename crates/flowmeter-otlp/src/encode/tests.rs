//! Names that are read from settings.

use crate::{SemanticConventions, names};

#[test]
fn editions_have_names() {
    for conventions in [
        SemanticConventions::Latest,
        SemanticConventions::V1_41,
        SemanticConventions::Both,
    ] {
        assert_eq!(conventions.to_string().parse(), Ok(conventions));
    }
    assert_eq!(
        SemanticConventions::parse("1.40").unwrap_err().to_string(),
        "`1.40` is no edition of the GenAI conventions: latest, 1.41 or both is wanted"
    );
}

#[test]
fn providers_have_their_well_known_names() {
    assert_eq!(names::provider_name("gemini"), "gcp.gemini");
    assert_eq!(names::provider_name("openai"), "openai");
    assert_eq!(names::provider_name("my-own"), "my-own");
}
