//! `fnlm completions` and `fnlm help-all`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, HelpAllArgs};
use crate::error::{CliError, Outcome};
use crate::term;

/// Prints a completion script.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fnlm", &mut script);
    term::out(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}

/// Prints the long help of every command, in the order of `fnlm --help`.
///
/// # Errors
/// Standard output cannot be written.
pub fn help_all(_args: &HelpAllArgs) -> Result<Outcome, CliError> {
    fn walk(command: &mut clap::Command, path: &str, out: &mut String) {
        out.push_str(&format!("===== {path} =====\n{}\n", command.render_long_help()));
        let names: Vec<String> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set() && command.get_name() != "help")
            .map(|command| command.get_name().to_string())
            .collect();
        for name in names {
            if let Some(inner) = command.find_subcommand_mut(&name) {
                walk(inner, &format!("{path} {name}"), out);
            }
        }
    }
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut out = String::new();
    walk(&mut command, "fnlm", &mut out);
    // Removes the trailing blanks of clap's wrapping, which would show up in diffs.
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    term::out(&(lines.join("\n") + "\n"))?;
    Ok(Outcome::Done)
}
