//! Unit tests of the table.

use expect_test::expect;
use flowmeter_pricing::Rate;

use super::*;

fn model(provider: &str, name: &str, input: i64) -> ListedModel {
    ListedModel {
        provider: provider.into(),
        model: name.into(),
        name: None,
        context_window: Some(200_000),
        output_limit: None,
        rates: vec![Rate {
            kind: RateKind::Input,
            nanos: input,
        }],
        source: "genai-prices 0.2.1".into(),
    }
}

#[test]
fn a_table_in_a_pipe_is_whole_and_on_a_terminal_it_fits() {
    let models = [
        model("anthropic", "claude-sonnet-4-5", 3_000_000_000),
        model("", "own", 37_500_000),
    ];
    expect![[r#"
        MODEL                         INPUT  OUTPUT  CACHE READ  CACHE WRITE  CONTEXT  MAX OUTPUT  SOURCE
        anthropic/claude-sonnet-4-5  3.00         -           -            -  200,000           -  genai-prices 0.2.1
        own                          0.0375       -           -            -  200,000           -  genai-prices 0.2.1
    "#]]
    .assert_eq(&table(&models, None));
    expect![[r#"
        MODEL                         INPUT  OUTPUT  CACHE READ
        anthropic/claude-sonnet-4-5  3.00         -           -
        own                          0.0375       -           -
    "#]]
    .assert_eq(&table(&models, Some(60)));
    let narrow = table(&models, Some(30));
    assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
    assert!(narrow.contains("…"), "{narrow}");
}
