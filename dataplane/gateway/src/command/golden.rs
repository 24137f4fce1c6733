//! Golden test of the command line: subcommands, flags, environment variables and defaults. Scripts and
//! charts depend on them.

use clap::{Arg, Command as Clap, CommandFactory as _};
use portcullis_golden::assert_golden;
use serde_json::{Value, json};

use super::Command;
use crate::golden::pretty;

fn argument(command: &Clap, argument: &Arg) -> Value {
    let text = |values: &[clap::builder::OsStr]| {
        values.iter().map(|value| value.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let conflicts = command.get_arg_conflicts_with(argument);
    json!({
        "flag": argument.get_long(), "short": argument.get_short(), "position": argument.get_index(),
        "aliases": argument.get_all_aliases(),
        "env": argument.get_env().map(|name| name.to_string_lossy()), "env value hidden": argument.is_hide_env_values_set(),
        "defaults": text(argument.get_default_values()),
        "takes values": argument.get_action().takes_values(),
        "value names": argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "possible values": argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>(),
        "delimiter": argument.get_value_delimiter(),
        "required": argument.is_required_set(), "global": argument.is_global_set(), "hidden": argument.is_hide_set(),
        "conflicts": conflicts.iter().map(|other| other.get_long()).collect::<Vec<_>>(),
    })
}

fn described(command: &Clap) -> Value {
    let own = |argument: &&Arg| !matches!(argument.get_id().as_str(), "help" | "version");
    let mut arguments: Vec<Value> =
        command.get_arguments().filter(own).map(|it| argument(command, it)).collect();
    arguments.sort_by_key(|argument| (argument["position"].to_string(), argument["flag"].to_string()));
    let subcommands = command.get_subcommands().filter(|it| it.get_name() != "help");
    let subcommands: Value = subcommands.map(|it| (it.get_name().to_owned(), described(it))).collect();
    json!({"arguments": arguments, "subcommands": subcommands})
}

#[test]
fn subcommands_flags_and_environment_variables_are_stable() {
    let mut command = Command::command();
    command.build();
    assert_golden("command-line/data-plane.json", &pretty(&described(&command)));
}
