//! Keys: the same for the same request, for ever; another one for whatever the model would see differently.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use super::*;

fn request() -> ChatRequest {
    ChatRequest {
        model: "openai/gpt-4o-mini".into(),
        system: Some("Be brief.".to_owned()),
        prompt: "What is a lane?".to_owned(),
        images: vec!["https://example.com/a.png".to_owned()],
        temperature: Some(0.2),
        max_tokens: Some(100),
        output_schema: Some(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
        reasoning_effort: Some("low".into()),
        model_options: Some(json!({"tools": [{"name": "look"}], "seed": 7})),
        stream: true,
        timeout: Some(Duration::from_secs(300)),
        headers: Vec::new(),
    }
}

fn target() -> ChatTarget {
    ChatTarget {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        server_address: Some("api.openai.com".into()),
        server_port: Some(443),
        server_path: Some("/v1/".into()),
    }
}

fn key(request: &ChatRequest, target: &ChatTarget) -> CacheKey {
    CacheKey::of(request, target).unwrap()
}

#[test]
fn a_key_stays_what_it_is() {
    // Entries on disk are found by it: who changes this changes `FORMAT`, too.
    let expected = "9c775103ba10b8ac4b19de551cb89490ae7e1db28166828bac85d61e904070ea";
    assert_eq!(key(&request(), &target()).hex(), expected);
    assert_eq!(format!("{:?}", key(&request(), &target())), expected);
}

#[test]
fn whatever_the_model_is_told_changes_the_key() {
    type Change = fn(&mut ChatRequest, &mut ChatTarget);
    let changes: &[Change] = &[
        |_, _| {},
        |request, _| request.system = None,
        |request, _| request.system = Some(String::new()),
        |request, _| request.system = Some("Be brief. ".to_owned()),
        |request, _| request.prompt.push('?'),
        |request, _| request.images.clear(),
        |request, _| request.images.push("https://example.com/b.png".to_owned()),
        |request, _| request.images[0].push('x'),
        |request, _| request.temperature = None,
        |request, _| request.temperature = Some(0.0),
        |request, _| request.temperature = Some(0.200_000_000_000_000_04),
        |request, _| request.max_tokens = None,
        |request, _| request.max_tokens = Some(0),
        |request, _| request.max_tokens = Some(101),
        |request, _| request.output_schema = None,
        |request, _| request.output_schema = Some(json!({})),
        |request, _| request.reasoning_effort = None,
        |request, _| request.reasoning_effort = Some("high".into()),
        |request, _| request.model_options = None,
        |request, _| request.model_options = Some(json!({"tools": [{"name": "look"}], "seed": 8})),
        |request, _| request.model_options = Some(json!({"tools": [{"name": "see"}], "seed": 7})),
        |_, target| target.provider = "groq".into(),
        |_, target| target.model = "gpt-4o".into(),
        |_, target| target.server_address = None,
        |_, target| target.server_address = Some("localhost".into()),
        |_, target| target.server_port = Some(8080),
        |_, target| target.server_port = None,
        |_, target| target.server_path = Some("/team-b/v1/".into()),
        |_, target| target.server_path = None,
    ];
    let keys: HashSet<CacheKey> = changes
        .iter()
        .map(|change| {
            let (mut request, mut target) = (request(), target());
            change(&mut request, &mut target);
            key(&request, &target)
        })
        .collect();
    assert_eq!(keys.len(), changes.len());
}

#[test]
fn how_the_answer_comes_and_who_pays_for_it_do_not() {
    let mut other = request();
    other.model = "openai::gpt-4o-mini".into();
    other.stream = false;
    other.timeout = None;
    other.headers = vec![("authorization".to_owned(), "Bearer secret".to_owned())];
    assert_eq!(key(&other, &target()), key(&request(), &target()));
    let with_zero = |zero: f64| {
        let mut request = request();
        request.temperature = Some(zero);
        key(&request, &target())
    };
    assert_eq!(with_zero(0.0), with_zero(-0.0));
}

#[test]
fn what_stands_in_one_part_is_never_taken_for_another() {
    arbtest::arbtest(|arbitrary| {
        let mut requests = [request(), request()];
        for request in &mut requests {
            request.system = arbitrary.arbitrary()?;
            request.prompt = arbitrary.arbitrary()?;
        }
        let [first, second] = requests;
        let are_equal = first.system == second.system && first.prompt == second.prompt;
        assert_eq!(key(&first, &target()) == key(&second, &target()), are_equal);
        Ok(())
    });
    let split = |system: &str, prompt: &str| {
        let mut request = request();
        (request.system, request.prompt) = (Some(system.to_owned()), prompt.to_owned());
        key(&request, &target())
    };
    assert_ne!(split("ab", "c"), split("a", "bc"));
}

#[test]
fn an_image_counts_by_its_bytes_and_its_kind_and_not_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let with_image = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut request = request();
        request.images = vec![path.display().to_string()];
        key(&request, &target())
    };
    let first = with_image("a.png", b"picture");
    assert_eq!(with_image("b.PNG", b"picture"), first);
    assert_ne!(with_image("a.png", b"another"), first);
    assert_ne!(with_image("a.gif", b"picture"), first);
    let mut missing = request();
    missing.images = vec![folder.path().join("none.png").display().to_string()];
    assert!(CacheKey::of(&missing, &target()).is_err());
}
