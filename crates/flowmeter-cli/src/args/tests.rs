//! The help texts as a terminal shows them.

use clap::CommandFactory as _;

use super::CommandLine;

/// clap breaks longer lines, and leaves a line with one word in it.
const LINE_CHARS_MAX: usize = 100;

#[test]
fn no_line_of_an_after_help_is_broken() {
    let mut open = vec![CommandLine::command()];
    let mut seen = 0;
    while let Some(command) = open.pop() {
        open.extend(command.get_subcommands().cloned());
        let Some(help) = command.get_after_help() else {
            continue;
        };
        seen += 1;
        for line in help.to_string().lines() {
            // An example is copied whole: it may be as long as it must.
            let is_example = line.starts_with("  flowmeter");
            assert!(
                is_example || line.chars().count() <= LINE_CHARS_MAX,
                "{}: {line}",
                command.get_name()
            );
        }
    }
    assert!(seen > 20, "{seen}");
}
