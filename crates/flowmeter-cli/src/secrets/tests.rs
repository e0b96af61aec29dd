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
    secrets.into_values().0
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
    assert_eq!(of_environment(&variables), ["hunter2hunter2", "/no/such/folder"]);
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
    let expected = ["second", "xyz-abc", "somebody", "Bearer xyz-abc"];
    assert_eq!(secrets.into_values().0, expected);
}

#[test]
fn a_given_value_is_taken_as_it_is() {
    let mut secrets = Secrets::default();
    let inputs = json!({"token": "a${b}c\n", "pin_password": 1234567, "name": "x"});
    secrets.take_inputs(inputs.as_object().unwrap());
    assert_eq!(secrets.into_values().0, ["a${b}c", "1234567"]);
}

#[test]
fn what_a_redactor_is_given_it_can_take() {
    let mut secrets = Secrets::default();
    let inputs =
        json!({"credentials": ["short-one", "é".repeat(200_000), "z".repeat(300_000), "(".repeat(900_000)]});
    secrets.take_inputs(inputs.as_object().unwrap());
    let (values, too_long) = secrets.into_values();
    assert_eq!((values.len(), too_long), (3, 1));
    flowmeter::Redactor::new(&values, &[]).unwrap();
}
