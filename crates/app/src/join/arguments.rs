//! What can be typed behind `join`, `token` and `bundle`.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Long enough to walk to the other server, short enough to be forgotten.
const TOKEN_LIFE_DEFAULT: &str = "1h";

#[derive(Args, Clone, Debug)]
pub struct HomeArgument {
    /// The directory of this server's set-up; /etc/quorate, or %ProgramData%\Quorate on Windows, when none is given
    #[arg(long, value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct StartArguments {
    /// Run the agent in the foreground instead of making a service of it
    #[arg(long, conflicts_with = "no_start")]
    pub run: bool,
    /// Write the files, and start nothing
    #[arg(long)]
    pub no_start: bool,
}

#[derive(Args, Clone, Debug)]
pub struct JoinArguments {
    /// A server that signs certificates, usually the first one: ADDRESS or ADDRESS:PORT of its REST API
    #[arg(required_unless_present_any = ["bundle", "refresh"], conflicts_with_all = ["bundle", "refresh"])]
    pub address: Option<String>,
    /// The token that `quorate token` has printed there; `-` or nothing: it is read from standard input
    #[arg(conflicts_with_all = ["bundle", "refresh"])]
    pub token: Option<String>,
    /// A file with the token, because other users of this server can see command lines
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token", "bundle", "refresh"])]
    pub token_file: Option<PathBuf>,
    /// Take everything from this file of `quorate bundle` instead
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// This server has joined: fetch its files anew after the plan was changed, with its certificate in place of a token
    #[arg(long, conflicts_with_all = ["bundle", "run", "no_start"])]
    pub refresh: bool,
    #[command(flatten)]
    pub home: HomeArgument,
    #[command(flatten)]
    pub start: StartArguments,
}

#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct TokenArguments {
    #[command(subcommand)]
    pub command: Option<TokenCommand>,
    /// The member that the token is for, as the plan calls it
    pub member: Option<String>,
    /// How long it is good: 30m, 1h, 2d
    #[arg(long, default_value = TOKEN_LIFE_DEFAULT, value_name = "TIME", value_parser = duration)]
    pub life: Duration,
    #[command(flatten)]
    pub home: HomeArgument,
}

#[derive(Subcommand, Clone, Debug)]
pub enum TokenCommand {
    /// Show the tokens that are still good
    List {
        #[command(flatten)]
        home: HomeArgument,
    },
    /// Make a token worthless
    Revoke {
        /// The token's identity, as `quorate token list` shows it, or the name of its member
        which: String,
        #[command(flatten)]
        home: HomeArgument,
    },
}

#[derive(Args, Clone, Debug)]
pub struct BundleArguments {
    /// The member that the bundle is for, as the plan calls it
    pub member: String,
    /// The file to make; it holds the member's key
    pub file: PathBuf,
    /// Where the files will be on that server, if not in the usual place
    #[arg(long, value_name = "DIRECTORY")]
    pub their_directory: Option<PathBuf>,
    #[command(flatten)]
    pub home: HomeArgument,
}

fn duration(text: &str) -> Result<Duration, String> {
    plan::duration(text).ok_or_else(|| "a time is a number with s, m, h or d behind it, such as 30m".to_owned())
}
