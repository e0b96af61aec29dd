//! The command line holds together.

use clap::{CommandFactory, Parser};

use super::{Cli, Task};

#[test]
fn command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn demo_hands_its_arguments_on() {
    let cli = Cli::parse_from(["xtask", "demo", "--fast", "x"]);
    assert!(matches!(cli.task, Task::Demo { args } if args == ["--fast", "x"]));
}
