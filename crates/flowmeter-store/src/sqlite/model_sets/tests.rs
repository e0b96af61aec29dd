//! Sets have numbers, are found by their models, and go when nobody has them any more.

use rusqlite::Connection;
use rusqlite::types::Value;
use smol_str::SmolStr;

use super::{ModelSets, missing, models_of, sweep, with};

fn models(names: &[&str]) -> Vec<SmolStr> {
    names.iter().map(SmolStr::new).collect()
}

#[test]
fn sets_are_found_by_each_of_their_models_and_by_nothing_else() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
    let mut sets = ModelSets::default();
    assert_eq!(
        sets.number(&connection, &[]).unwrap(),
        None,
        "no model was called"
    );
    let mut number = |names: &[&str]| sets.number(&connection, &models(names)).unwrap().unwrap();
    let (small, both, odd) = (
        number(&["gpt-4o-mini"]),
        number(&["claude", "gpt-4o"]),
        number(&["100%_'x"]),
    );
    assert_eq!(number(&["gpt-4o-mini"]), small);
    assert!(small != both && both != odd);
    let found = |model: &str| with(&connection, model).unwrap();
    assert_eq!(found("gpt-4o"), [Value::Integer(both)], "and not what begins so");
    assert_eq!(found("claude"), [Value::Integer(both)]);
    assert_eq!(found("100%_'x"), [Value::Integer(odd)]);
    assert_eq!(found("gpt"), []);
    assert_eq!(found("GPT-4o"), []);
    assert_eq!(models_of("claude\ngpt-4o"), models(&["claude", "gpt-4o"]));

    // Another process has forgotten runs.
    sweep(&connection).unwrap();
    assert_eq!(found("claude"), []);
    sets.clear();
    let again = sets.number(&connection, &models(&["claude", "gpt-4o"])).unwrap();
    assert!(again > Some(odd), "a number is never used again");
    assert_eq!(missing(&connection).unwrap(), 0);
}
