//! Each piece of knowledge is found where it does not belong, and nowhere else.

use super::{check_code, check_dependencies, check_llm_client};
use crate::tidy::Finding;
use crate::tidy::source::SourceFile;
use crate::workspace::{Dependency, Kind, Member};

fn member(name: &str, dependency: &str, kind: Kind) -> Member {
    let dependencies = vec![Dependency {
        name: dependency.to_owned(),
        kind,
    }];
    Member {
        dependencies,
        ..Member::named(name)
    }
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn dependencies_stay_with_their_owners() {
    for (owner, dependency) in [
        ("flowmeter-otlp", "opentelemetry-proto"),
        ("flowmeter-server", "opentelemetry-proto"),
        ("flowmeter-cli", "clap"),
        ("xtask", "anyhow"),
        ("flowmeter-workflow", "genai"),
        ("flowmeter-pricing", "genai-prices"),
    ] {
        assert_eq!(check_dependencies(&[member(owner, dependency, Kind::Normal)]), []);
    }
    for dependency in ["opentelemetry-proto", "clap", "clap_complete", "anyhow", "genai"] {
        for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
            assert_eq!(
                check_dependencies(&[member("flowmeter", dependency, kind)]).len(),
                1,
                "{dependency}"
            );
        }
    }
    assert_eq!(
        shown(&check_dependencies(&[member("flowmeter", "anyhow", Kind::Dev)])),
        [
            "crates/flowmeter/Cargo.toml:1: `flowmeter` may not depend on `anyhow`; \
          crates that may: flowmeter-cli, xtask"
        ]
    );
}

#[test]
fn printing_and_the_environment_are_for_the_binary() {
    let text = "//! About.\nfn f() { println!(); eprintln!(); }\nfn g() { std::env::var(\"A\"); }\n";
    let lines = |path: &str| -> Vec<usize> {
        check_code(&[SourceFile::new(path, text)])
            .iter()
            .map(|finding| finding.line)
            .collect()
    };
    assert_eq!(lines("crates/flowmeter/src/lib.rs"), [2, 2, 3]);
    for path in [
        "crates/flowmeter-cli/src/main.rs",
        "xtask/src/main.rs",
        "crates/flowmeter/src/a/tests.rs",
        "crates/flowmeter/tests/it/main.rs",
        "crates/flowmeter/benches/recording.rs",
        "crates/flowmeter/examples/a.rs",
        "crates/flowmeter/build.rs",
    ] {
        assert_eq!(lines(path), [0; 0], "{path}");
    }
}

#[test]
fn examples_in_comments_and_similar_names_are_not_printing() {
    let text = "//! About.\n/// println!(\"x\");\nfn f() { writeln!(out); env!(\"A\"); my_println!(); }\n";
    assert_eq!(
        check_code(&[SourceFile::new("crates/flowmeter/src/lib.rs", text)]),
        []
    );
}

#[test]
fn the_llm_client_is_named_in_exactly_one_file() {
    let members = [member("flowmeter-workflow", "genai", Kind::Normal)];
    let file = |name: &str, text: &str| {
        SourceFile::new(
            format!("crates/flowmeter-workflow/src/{name}.rs"),
            format!("//! About.\n{text}\n"),
        )
    };
    let one = file("chat", "use genai::Client;");
    let another = file("embed", "use genai as g;");
    let none = file(
        "flow",
        "// genai::Client is named elsewhere\nuse my_genai::X; genai_prices::x();",
    );

    let found = check_llm_client(&members, &[file("flow", "")]);
    assert!(
        shown(&found)[0].contains("no file of `flowmeter-workflow` names it"),
        "{found:?}"
    );
    assert_eq!(check_llm_client(&members, &[one, none]), []);
    let found = check_llm_client(&members, &[file("chat", "genai::f();"), another]);
    assert_eq!(found.len(), 2);
    assert!(
        shown(&found)[0].starts_with("crates/flowmeter-workflow/src/chat.rs:2: "),
        "{found:?}"
    );
}

#[test]
fn without_the_llm_client_there_is_nothing_to_say() {
    assert_eq!(check_llm_client(&[Member::named("flowmeter-workflow")], &[]), []);
    assert_eq!(check_llm_client(&[], &[]), []);
}
