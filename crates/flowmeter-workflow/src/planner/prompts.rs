//! The planner's prompts: files of this crate, with templates in them as in workflow files.
//!
//! Never fills them in: the wrapper around each step does, as around any node.

/// What the model is, for every step.
pub(super) const SYSTEM: &str = include_str!("../../prompts/system.md");
pub(super) const DISCOVERY: &str = include_str!("../../prompts/discovery.md");
pub(super) const PARAMETER_DISCOVERY: &str = include_str!("../../prompts/parameter_discovery.md");
pub(super) const REQUIREMENTS: &str = include_str!("../../prompts/requirements.md");
pub(super) const COMPONENT_BROWSING: &str = include_str!("../../prompts/component_browsing.md");
pub(super) const PLANNING: &str = include_str!("../../prompts/planning.md");
pub(super) const WORKFLOW_GENERATOR: &str = include_str!("../../prompts/workflow_generator.md");
pub(super) const PARAMETER_MAPPING: &str = include_str!("../../prompts/parameter_mapping.md");
pub(super) const METADATA_GENERATION: &str = include_str!("../../prompts/metadata_generation.md");
/// The form of workflow files; no template, for it shows templates.
pub(super) const FORMAT: &str = include_str!("../../prompts/format.md");
/// What the generator is told of its last workflow. Variables: `attempt`, `attempts_max`, `text`, `problems`.
pub(super) const FEEDBACK: &str = include_str!("../../prompts/feedback.md");
/// Asks once more after an answer that cannot be used. Variables: `prompt`, `problem`, `answer`, `schema`.
pub(super) const REPAIR: &str = include_str!("../../prompts/repair.md");
/// Asks a model that takes no schema. Variables: `prompt`, `schema`.
pub(super) const ANSWER_IN_WORDS: &str = include_str!("../../prompts/answer_in_words.md");
