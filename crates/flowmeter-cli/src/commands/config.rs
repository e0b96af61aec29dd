//! `flowmeter config`: every setting, its value and where it comes from.
//!
//! Never changes a setting.

use anyhow::Result;
use serde_json::json;

use crate::args::{ConfigArgs, ViewFormat};
use crate::config::SETTINGS;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

/// Prints the settings.
pub(super) fn run(args: &ConfigArgs, home: &Home, output: &Output) -> Result<Exit> {
    let config = super::settings(home)?;
    for warning in &config.warnings {
        output.warn(warning);
    }
    if args.format == ViewFormat::Json {
        let settings: serde_json::Map<String, serde_json::Value> = SETTINGS
            .iter()
            .map(|setting| {
                let value = json!({
                    "value": (setting.show)(&config),
                    "from": config.origin(setting).to_string(),
                    "variable": setting.variable(),
                    "description": setting.description,
                });
                (setting.key.to_owned(), value)
            })
            .collect();
        output.json(&json!({ "file": home.config_file(), "settings": settings }))?;
        return Ok(Exit::Success);
    }
    let width = SETTINGS
        .iter()
        .map(|setting| setting.key.len())
        .max()
        .unwrap_or(0);
    let mut text = format!("settings file: {}\n\n", home.config_file().display());
    for setting in SETTINGS {
        let value = (setting.show)(&config);
        let value = if value.is_empty() {
            "(none)".to_owned()
        } else {
            value.replace('\n', ", ")
        };
        text.push_str(&format!(
            "{:width$}  {value}  ({})\n{:width$}  {}; {}\n",
            setting.key,
            config.origin(setting),
            "",
            setting.description,
            setting.variable()
        ));
    }
    output.text(&text)?;
    Ok(Exit::Success)
}
