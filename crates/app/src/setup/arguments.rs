//! What can be typed behind `setup`.

use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches, each on its own
pub struct SetupArguments {
    /// The directory of this server's set-up; /etc/quorate, or %ProgramData%\Quorate on Windows, when none is given
    #[arg(long, value_name = "DIRECTORY")]
    pub directory: Option<PathBuf>,
    /// Ask the questions here instead of in a browser
    #[arg(long, conflicts_with = "from")]
    pub terminal: bool,
    /// Ask nothing: take the plan from this cluster.yaml
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Which member of the plan this server is; the one whose address it has, when none is given
    #[arg(long, value_name = "NAME")]
    pub member: Option<String>,
    /// Write and start without asking
    #[arg(long, visible_alias = "force")]
    pub yes: bool,
    /// Only show every file that would be written
    #[arg(long, requires = "from")]
    pub dry_run: bool,
    /// Run the agent below this command instead of making a service of it
    #[arg(long, conflicts_with = "no_start")]
    pub run: bool,
    /// Write the files, and start nothing
    #[arg(long)]
    pub no_start: bool,
    /// The port of the page; a free one when none is given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// The address of the page: one of this machine's own, such as 127.0.0.1 or ::1
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS", value_parser = own_address)]
    pub listen: IpAddr,
}

/// The page shows passwords and writes files as root, without TLS.
fn own_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "it is not an IP address".to_owned())?;
    if address.is_loopback() {
        return Ok(address);
    }
    Err("the page is served on this machine only; reach it from another one through: ssh -L 8765:127.0.0.1:8765"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_for_this_machine_only() {
        for (text, good) in
            [("127.0.0.1", true), ("::1", true), ("0.0.0.0", false), ("10.0.0.1", false), ("here", false)]
        {
            assert_eq!(own_address(text).is_ok(), good, "{text}");
        }
    }
}
