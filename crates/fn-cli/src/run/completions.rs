//! `fnlm completions`, `fnlm man` and `fnlm help-all`.

use std::io;
use std::path::Path;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, HelpAllArgs, ManArgs};
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

/// Writes a manual page for each command: `fnlm.1`, `fnlm-pretrain.1`, `fnlm-lexicon-build.1`, ...
///
/// # Errors
/// The folder or a page cannot be written (1, 5).
pub fn man(args: &ManArgs) -> Result<Outcome, CliError> {
    fn pages(command: &clap::Command, dir: &Path) -> io::Result<()> {
        let page = clap_mangen::Man::new(command.clone());
        let mut text = Vec::new();
        page.render(&mut text)?;
        // Examples and tables below the options keep their lines.
        let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\n", ".SH NOTES\n.nf\n");
        std::fs::write(dir.join(page.get_filename()), text)?;
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| pages(sub, dir))
    }
    let failed = |error| CliError::io("write manual pages to", &args.dir, error);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &args.dir).map_err(failed)?;
    term::note(
        args.common.quiet,
        &format!("wrote fnlm.1 and a page for each command to {}", args.dir.display()),
    );
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
