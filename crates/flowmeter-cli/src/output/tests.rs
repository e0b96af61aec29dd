//! Unit tests of the output.

use super::colour_wish;

fn wish(variables: &[(&str, &str)]) -> Option<bool> {
    colour_wish(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_environment_decides_about_colour() {
    assert_eq!(wish(&[]), None);
    assert_eq!(wish(&[("NO_COLOR", "")]), None);
    assert_eq!(wish(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]), Some(false));
    assert_eq!(wish(&[("CLICOLOR_FORCE", "1")]), Some(true));
    assert_eq!(wish(&[("CLICOLOR_FORCE", "0")]), None);
    assert_eq!(wish(&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")]), Some(true));
    assert_eq!(wish(&[("CLICOLOR", "0")]), Some(false));
    assert_eq!(wish(&[("TERM", "dumb")]), Some(false));
}
