//! Unit tests of what counts as a secret of a run.

use serde_json::json;

use super::*;

fn of_environment(variables: &[(&str, &str)]) -> Vec<String> {
    let mut secrets = Secrets::default();
    secrets.take_environment(
        variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value))),
    );
    secrets.into_values()
}

#[test]
fn variables_that_hold_folders_numbers_and_switches_are_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let variables = [
        ("PWD", "/srv/nowhere"),
        ("OLDPWD", "/srv/nowhere"),
        ("SECRETS", folder),
        ("USE_TOKEN", "true"),
        ("API_KEY", "123456789"),
        ("HOME", "/home/somebody"),
    ];
    assert!(of_environment(&variables).is_empty());
    let variables = [("DB_PASSWORD", "hunter2hunter2"), ("PASSWD", "/no/such/folder")];
    assert_eq!(of_environment(&variables), ["/no/such/folder", "hunter2hunter2"]);
}

#[test]
fn what_stands_below_a_secret_name_is_secret() {
    let mut secrets = Secrets::default();
    let params = json!({
        "url": "http://plain",
        "headers": {"Authorization": "Bearer xyz-abc", "Accept": "text/plain", "X-Api-Key": "${key}"},
        "credentials": {"user": "somebody", "further": ["second"]}
    });
    secrets.take(&params, false, Place::Written);
    let expected = ["Bearer xyz-abc", "second", "somebody", "xyz-abc"];
    assert_eq!(secrets.into_values(), expected);
}

#[test]
fn a_given_value_is_taken_as_it_is() {
    let mut secrets = Secrets::default();
    let inputs = json!({"token": "a${b}c\n", "pin_password": 1234567, "name": "x", "too_long_token": "x".repeat(20_000)});
    secrets.take_inputs(inputs.as_object().unwrap());
    assert_eq!(secrets.into_values(), ["1234567", "a${b}c"]);
}
